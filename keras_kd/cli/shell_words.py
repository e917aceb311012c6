"""Puts the package's error messages into the words of the shell.

The package names Python arguments. A command has options for some of them;
about the others the shell can do nothing, which the message then says.
"""

import re
from collections.abc import Mapping
from typing import Any

# Python's names of what the commands call otherwise.
_OTHER_NAMES = {
    "latency_ms": "latency",
    "model_or_path": "path",
    "model_output": "student_output",
    "calibration": "data",
    "source": "data",
    "num_threads": "threads",
    "size_bytes": "budget",
    "arena_bytes": "arena",
}
_NEEDS = re.compile(r"`([\w. ]+)` needs `(\w+)`")
_RECEIVED = re.compile(r"Received: (\w+)=")
_KEYWORD = re.compile(r"`(\w+)=([^`]*)`")
# Only after these words is a bare name surely an argument: models and layers
# have names too.
_BARE = re.compile(r"\b([Ss]et|[Gg]ive|larger|smaller) `(\w+)`")


def option_names(command: Any) -> dict[str, str]:
    """Return what a command calls each Python argument that it takes.

    Args:
        command: A command of Typer.
    """
    shown = {}
    for parameter in command.params:
        name = parameter.opts[0]
        shown[parameter.name] = name
    others = {
        python: shown[name]
        for python, name in _OTHER_NAMES.items()
        if name in shown and python not in shown
    }
    return shown | others


def in_shell_words(
    message: str, command: str, options: Mapping[str, str]
) -> str:
    """Rewrite an error message for the user of a command.

    Args:
        message: The message of an exception.
        command: Name of the command.
        options: What the command calls each Python argument.

    Example:
    >>> from keras_kd.cli.shell_words import in_shell_words
    >>> message = "`Distiller` needs `alpha` to be at most 1. Received: alpha=2"
    >>> in_shell_words(message, "distill", {"alpha": "--alpha"})
    '`distill` needs `--alpha` to be at most 1. Received: --alpha 2'
    """

    def needs(match: re.Match[str]) -> str:
        option = options.get(match[2])
        return f"`{command}` needs `{option}`" if option else match[0]

    def received(match: re.Match[str]) -> str:
        option = options.get(match[1])
        is_option = option is not None and option.startswith("-")
        return f"Received: {option} " if is_option else match[0]

    def keyword(match: re.Match[str]) -> str:
        option = options.get(match[1])
        return f"`{f'{option} {match[2]}'.strip()}`" if option else match[0]

    def bare(match: re.Match[str]) -> str:
        option = options.get(match[2])
        return f"{match[1]} `{option}`" if option else match[0]

    for pattern, replace in (
        (_NEEDS, needs),
        (_RECEIVED, received),
        (_KEYWORD, keyword),
        (_BARE, bare),
    ):
        message = pattern.sub(replace, message)
    missing = list(dict.fromkeys(m[1] for m in _KEYWORD.finditer(message)))
    if not missing:
        return message
    named = " and ".join(f"`{name}`" for name in missing)
    return (
        f"{message} `keras-kd {command}` has no option for {named}: use "
        "`keras_kd` from Python."
    )
