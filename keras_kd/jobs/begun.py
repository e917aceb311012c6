"""Refuses to go on with a run that was begun with other settings."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def to_json(setting: Any) -> str:
    """Return the settings of a job as the text of `setting.json`."""
    return json.dumps(dataclasses.asdict(setting), indent=2) + "\n"


def check_begun(
    path: Path, setting: Any, may_differ: Sequence[str], what: str, advice: str
) -> None:
    """Check that a run was begun with the same settings.

    Args:
        path: The `setting.json` of the run; nothing was begun without it.
        setting: The settings now.
        may_differ: Names of those that may change.
        what: What was begun, for the message.
        advice: What to do.

    Raises:
        ValueError: Names the settings that differ.
    """
    if not path.exists():
        return
    begun = json.loads(path.read_text("utf-8"))
    differing = [
        f"{name}: was {begun.get(name)!r}, is {value!r}"
        for name, value in json.loads(to_json(setting)).items()
        if name not in may_differ and begun.get(name) != value
    ]
    if differing:
        raise ValueError(
            f"The {what} in `{path.parent}` was begun with other options: "
            f"{'; '.join(differing)}. Use the former options, choose another "
            f"{advice}"
        )
