"""The ledger of measured costs: each architecture is measured once."""

import contextlib
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from keras_kd.core.files import check_writable
from keras_kd.core.files import write_text
from keras_kd.search.cost.measurement import Measurement
from keras_kd.search.cost.measurement import Wanted
from keras_kd.search.cost.meter import Meter

_VERSION = 1


class Ledger:
    """Stores the costs of every architecture of a search.

    Latency is noisy and a conversion takes seconds, so each architecture is
    measured once, and all trials and workers of a search use that
    measurement. The key of an entry is the architecture (layers, sizes and
    connections; not names or weights), the quantization, the number of
    threads, and the versions of converter and runtime. With a `path` the
    ledger is a file that several processes may share, on several machines;
    an entry's latency is that of the machine that measured it first. Delete
    the file to measure again.

    Args:
        path: The JSON file. Defaults to `None`, memory only.

    Raises:
        OSError: If the file's folder cannot be written to.

    Example:
    >>> import keras_kd
    >>> from keras_kd.search.cost.ledger import Ledger
    >>> budget = keras_kd.Budget(num_params=10_000)
    >>> student = keras_kd.students.mlp((4,), 3, hidden=(8,))
    >>> budget.check(student, Ledger()).num_params
    67
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = None if path is None else Path(path)
        if self.path is not None:
            check_writable(self.path)
        self._entries: dict[str, Measurement] = {}
        self._stamp: tuple[int, ...] | None = None

    def __len__(self) -> int:
        self._refresh()
        return len(self._entries)

    def get(self, student: Any, wanted: Wanted) -> Measurement:
        """Return a student's costs; measure those the ledger lacks.

        Args:
            student: A built `keras.Model` or a `keras_kd.Distiller`.
            wanted: The quantities to measure.

        Returns:
            Every cost that is known now.

        Raises:
            ValueError: If the student cannot be measured.
            RuntimeError: If the converter refuses the student.
        """
        meter = Meter(student, wanted)
        key = meter.key()
        self._refresh()
        known = self._entries.get(key, Measurement())
        if meter.is_done(known):
            return known
        # The lock also keeps two workers from timing at the same time.
        with self._locked():
            self._refresh(repair=True)
            known = self._entries.get(key, Measurement())
            found = meter.complete(known)
            if found != known:
                self._entries[key] = found
                self._write()
        return found

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if self.path is None:
            yield
            return
        with FileLock(f"{self.path}.lock"):
            yield

    def _refresh(self, *, repair: bool = False) -> None:
        """Read the file if it changed since it was last read.

        Args:
            repair: Whether to set a damaged file aside; needs the lock.
        """
        if self.path is None or (stamp := _stamp(self.path)) == self._stamp:
            return
        try:
            content = json.loads(self.path.read_text("utf-8"))
            if content["version"] != _VERSION:
                raise ValueError(f"version {content['version']}")
            self._entries = {
                key: Measurement.from_json(entry)
                for key, entry in content["measurements"].items()
            }
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # Without the lock, another process may have replaced the file
            # since it was read.
            if repair:
                _set_aside(self.path, error)
            return
        self._stamp = stamp

    def _write(self) -> None:
        if self.path is None:
            return
        content = {
            "version": _VERSION,
            "measurements": {
                key: entry.to_json()
                for key, entry in sorted(self._entries.items())
            },
        }
        write_text(self.path, json.dumps(content, indent=1) + "\n")
        self._stamp = _stamp(self.path)


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Return a value that changes with a file; `None` if it is missing."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino


def _set_aside(path: Path, error: Exception) -> None:
    """Rename a file that cannot be read, and warn."""
    aside = path.with_name(f"{path.name}.corrupt")
    os.replace(path, aside)
    warnings.warn(
        f"The measurements in `{path}` cannot be read ({error!r}). The file "
        f"is now `{aside.name}`; its students are measured again.",
        stacklevel=4,
    )
