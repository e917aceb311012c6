"""The files of a search: written atomically, kept in two generations."""

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import xxhash

from keras_kd.core.files import check_writable
from keras_kd.core.files import write_text

ORACLE = "oracle.json"
_CHECKSUM = "checksum"


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is damaged.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(content, dict) and _CHECKSUM in content:
        checksum = content.pop(_CHECKSUM)
        if checksum != _checksum(content):
            raise ValueError(f"The checksum of `{path}` does not fit.")
    return content


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file; a killed process leaves the old file intact."""
    write_text(path, json.dumps(content))


def write_generations(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file with a checksum, and keep the previous one."""
    text = json.dumps(content | {_CHECKSUM: _checksum(content)})
    if path.exists():
        os.replace(path, previous(path))
    # If the process is killed here, the previous file is the newest.
    write_text(path, text)


def read_generations(path: Path) -> dict[str, Any]:
    """Return the newest readable content of a file written in generations.

    If the newest file is damaged, it is set aside with a warning; otherwise
    the next write would replace the good generation by it.

    Raises:
        FileNotFoundError: If neither generation exists.
        RuntimeError: If no generation can be read.
    """
    found = [file for file in (path, previous(path)) if file.exists()]
    if not found:
        raise FileNotFoundError(f"No search at `{path.parent}`.")
    for file in found:
        try:
            content: dict[str, Any] = read_json(file)
        except ValueError:
            continue
        if file != found[0]:
            _set_aside(found[0])
            warnings.warn(
                f"`{found[0]}` is damaged, and set aside as "
                f"`{found[0].name}.corrupt`. Going on from the state before "
                "it: the last step of the search is done again.",
                stacklevel=2,
            )
        return content
    names = " and ".join(f"`{file.name}`" for file in found)
    raise RuntimeError(
        f"The search `{path.parent}` cannot be read: {names} damaged. "
        "Restore one of its files, or start again with `overwrite=True` or "
        "another `project_name`."
    )


def previous(path: Path) -> Path:
    """Return the path of a file's previous generation."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def exists(folder: str | os.PathLike[str]) -> bool:
    """Tell whether a folder holds the state of a search."""
    path = Path(folder) / ORACLE
    return path.exists() or previous(path).exists()


def quarantine(folder: Path) -> list[str]:
    """Set damaged trial files aside, and warn.

    A trial's file is a copy of a part of the search's state, so nothing is
    lost with it. A damaged one is renamed to `trial.json.corrupt`.

    Returns:
        Names of the trials' folders.
    """
    damaged = []
    for file in sorted(folder.glob("trial_*/trial.json")):
        try:
            read_json(file)
        except FileNotFoundError:
            continue
        except ValueError:
            _set_aside(file)
            damaged.append(file.parent.name)
    if damaged:
        warnings.warn(
            f"The search `{folder}` has {len(damaged)} damaged trial "
            f"file(s): {', '.join(damaged)}. Each is set aside as "
            "`trial.json.corrupt`; the trials are kept as the search's own "
            "state has them.",
            stacklevel=3,
        )
    return damaged


@contextmanager
def locked(
    folder: str | os.PathLike[str], name: str = "search"
) -> Iterator[None]:
    """Lock a search's folder against a second process.

    The operating system releases the lock when the process ends, however it
    ends. Reading results needs no lock.

    Args:
        folder: The project's folder; created if it does not exist.
        name: `"search"`, or the ID of a worker.

    Raises:
        OSError: If the folder cannot be written to.
        RuntimeError: If another process holds the lock.
    """
    path = Path(folder) / f"{name}.lock"
    check_writable(path)
    lock = filelock.FileLock(path, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        who = "search" if name == "search" else f"worker `{name}`"
        raise RuntimeError(
            f"Another process runs the {who} in `{folder}`. Wait until it "
            "ends, or choose another `project_name`. Several processes share "
            "one search as a chief and its workers, each with an ID of its "
            "own in KERASTUNER_TUNER_ID."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _set_aside(file: Path) -> None:
    os.replace(file, file.with_name(f"{file.name}.corrupt"))


def _checksum(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return str(xxhash.xxh3_128_hexdigest(text.encode("utf-8")))
