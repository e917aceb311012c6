"""`--config`: a command's options in a TOML file, and the file it writes."""

import json
import tomllib
from pathlib import Path
from typing import Annotated
from typing import Any

import typer

from keras_kd.core.checks import nearest
from keras_kd.core.files import write_text

NAME = "run.toml"


def _read(context: typer.Context, path: Path | None) -> Path | None:
    """Make the file's values the defaults of the command's options."""
    if path is None:
        return None
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"`{path}` is not valid TOML: {error}.") from error
    known = _by_name(context.command)
    given = {name.replace("_", "-"): value for name, value in content.items()}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ValueError(
            f"`{path}` has {', '.join(f'`{name}`' for name in unknown)}, which "
            f"`{context.info_name}` does not know. "
            f"{nearest(unknown[0], list(known))}"
        )
    context.default_map = {
        known[name].name: value for name, value in given.items()
    }
    return path


Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        is_eager=True,
        callback=_read,
        help="TOML file with options by name, such as the run.toml of an "
        "earlier run; options on the command line take precedence.",
    ),
]


def write_config(context: typer.Context, output: Path) -> None:
    """Write the options of a run, so that `--config` repeats it.

    Args:
        context: The command's context.
        output: The folder of the run.
    """
    lines = [f"# keras-kd {context.info_name} --config {NAME}"]
    for name, parameter in _by_name(context.command).items():
        value = context.params.get(parameter.name)
        if value is None or name in ("overwrite", "json", "dry-run"):
            continue
        lines.append(f"{name} = {_toml(value)}")
    write_text(output / NAME, "\n".join(lines) + "\n")


def _by_name(command: Any) -> dict[str, Any]:
    """Return a command's parameters by the names that a file calls them."""
    return {
        parameter.opts[0].lstrip("-").replace("_", "-"): parameter
        for parameter in command.params
        if parameter.name not in ("help", "config")
    }


def _toml(value: Any) -> str:
    # JSON's strings, numbers, booleans and arrays are TOML's.
    return json.dumps(value, default=str, ensure_ascii=False)
