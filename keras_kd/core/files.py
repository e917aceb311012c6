"""Writes files and folders atomically: a file with its name is complete."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staged(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a scratch path beside `path`; rename it to `path` at the end.

    The body writes a file or a folder at the yielded path. If it ends
    normally, the content is flushed to disk and replaces `path`. If it
    raises, the scratch is deleted and the old `path` is unchanged.

    Raises:
        OSError: Before the body runs, if the parent folder cannot be written
            to.
    """
    target = Path(path)
    check_writable(target)
    scratch_root = Path(
        tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent)
    )
    try:
        scratch = scratch_root / target.name
        yield scratch
        _flush(scratch)
        if target.is_dir() and not target.is_symlink():
            os.replace(target, scratch_root / "replaced")
        os.replace(scratch, target)
        _flush_folder(target.parent)
    finally:
        shutil.rmtree(scratch_root, ignore_errors=True)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file atomically."""
    with staged(path) as scratch:
        scratch.write_bytes(content)


def write_text(path: str | os.PathLike[str], content: str) -> None:
    """Write a UTF-8 text file atomically."""
    write_bytes(path, content.encode("utf-8"))


def check_writable(path: str | os.PathLike[str]) -> None:
    """Create the parent folder of `path` and check that it is writable.

    Raises:
        OSError: Names the folder and what to do.
    """
    folder = Path(path).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"Cannot write to the folder `{folder}`: {error.strerror}. "
            "Choose an output path in a folder that you may write to."
        ) from error


def size_bytes(path: str | os.PathLike[str]) -> int:
    """Return the bytes of a file, or of every file under a folder."""
    root = Path(path)
    if root.is_file():
        return root.stat().st_size
    return sum(f.stat().st_size for f in root.rglob("*") if f.is_file())


def _flush(path: Path) -> None:
    """Flush a file, or every file and folder of a tree, to disk."""
    if path.is_dir():
        for entry in path.iterdir():
            _flush(entry)
        _flush_folder(path)
        return
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(path: Path) -> None:
    """Flush a folder's entries, except on Windows, which cannot."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
