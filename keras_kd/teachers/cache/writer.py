"""Writes one part of a cache, shard by shard, and resumes after a kill."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import requirement
from keras_kd.core.errors import StaleCacheError
from keras_kd.core.files import check_writable
from keras_kd.teachers.cache import hashing
from keras_kd.teachers.cache import manifest as manifests
from keras_kd.teachers.cache import shards
from keras_kd.teachers.cache.encoding import Encoding
from keras_kd.teachers.cache.index import Index
from keras_kd.teachers.cache.manifest import Identity
from keras_kd.teachers.cache.manifest import Manifest
from keras_kd.teachers.cache.structure import describe

# Limits of one shard, which is kept in memory and lost if the build is killed.
SHARD_EXAMPLES = 16_384
SHARD_BYTES = 64 << 20


class PartWriter:
    """Adds the outputs of new examples to one part of a cache.

    It is a context manager. It holds the part's lock, so that a second
    writer of the part is refused, and deletes scratch files of a killed
    writer. A full shard is written and added to the manifest at once;
    `finish` writes the rest.

    Args:
        path: Folder of the cache; created if it does not exist.
        identity: Identity of the cache; `outputs` may be `None` until the
            first `append`.
        part: This part's number and the number of parts.
        shard_size: Examples per shard. Defaults to 16,384, or as many as fit
            into 64 MiB.

    Raises:
        OSError: If the folder cannot be written to.
        RuntimeError: If another writer is working on the part.
        StaleCacheError: If the folder holds a cache with another identity,
            or a damaged one.

    Example:
    >>> import tempfile
    >>> import numpy as np
    >>> from keras_kd.teachers.cache.hashing import keys
    >>> from keras_kd.teachers.cache.manifest import Identity
    >>> from keras_kd.teachers.cache.structure import describe
    >>> from keras_kd.teachers.cache.writer import PartWriter
    >>> x = np.eye(3)
    >>> identity = Identity({"kind": "id", "id": "me"}, describe(x))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with PartWriter(folder, identity) as writer:
    ...         writer.append(keys(x), [{"logits": x}])
    ...         writer.finish()
    ...     len(writer)
    3
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        identity: Identity,
        part: tuple[int, int] = (0, 1),
        shard_size: int | None = None,
    ) -> None:
        self.folder = Path(path)
        self._part = check_part(part)
        self._shard_size = shard_size
        if shard_size is not None:
            check_integer("TeacherCache.build", "shard_size", shard_size, low=1)
        self._manifest = Manifest(identity, self._part)
        self._encoding: Encoding | None = None
        self._keys: list[np.ndarray] = []
        self._records: list[np.ndarray] = []
        self._index = Index()
        self._pending: set[bytes] = set()
        lock = self.folder / f"{manifests.part_name(self._part)}.lock"
        self._lock = filelock.FileLock(lock, timeout=0)

    def __enter__(self) -> "PartWriter":
        check_writable(self.folder / "part")
        try:
            self._lock.acquire()
        except filelock.Timeout as error:
            raise RuntimeError(
                f"Another builder is at work on part {self._part[0]} of "
                f"{self._part[1]} of the teacher cache `{self.folder}`. Wait "
                "until it ends, or let each build a part of its own with "
                "`shard=(i, n)`."
            ) from error
        try:
            self._resume()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *exception: Any) -> None:
        self._lock.release()

    def __len__(self) -> int:
        """Number of examples that are stored or wait to be."""
        return len(self._index) + sum(map(len, self._keys))

    @property
    def room(self) -> int:
        """Number of examples until the next shard is full.

        If teacher batches end with the shards, a resumed run forms the same
        batches, so its outputs are the same to the last bit.
        """
        if self._encoding is None:
            return self._shard_size or SHARD_EXAMPLES
        return self._full_size(self._encoding) - sum(map(len, self._keys))

    def claim(self, keys: np.ndarray) -> np.ndarray:
        """Return the rows of a batch whose keys are new to this part.

        Of equal keys only the first row is returned. A claimed key no longer
        counts as new, so the caller must append it.
        """
        number, total = self._part
        fresh = self._index.find(keys) < 0
        if total > 1:
            fresh &= hashing.parts(keys, total) == number
        rows = np.flatnonzero(fresh)
        content = keys[rows].tobytes()
        kept = []
        for place, row in enumerate(rows.tolist()):
            key = content[16 * place : 16 * place + 16]
            if key not in self._pending:
                self._pending.add(key)
                kept.append(row)
        return np.asarray(kept, np.int64)

    def append(self, keys: np.ndarray, views: list[dict[str, Any]]) -> None:
        """Add examples of this part that are not stored yet.

        Args:
            keys: `(batch, 2)`, from `hashing.keys`.
            views: For each view the teacher's outputs, `"logits"` and
                `"features"`, as arrays `(batch, ...)`.

        Raises:
            ValueError: If an output has a wrong shape or value.
            OSError: If a shard cannot be written.
        """
        encoding = self._encoding or self._settle(views[0])
        records = np.stack([encoding.encode(view) for view in views], axis=1)
        size = self._full_size(encoding)
        while len(keys):
            room = size - sum(map(len, self._keys))
            self._keys.append(keys[:room])
            self._records.append(records[:room])
            if len(keys) >= room:
                self._flush()
            keys, records = keys[room:], records[room:]

    def finish(self) -> None:
        """Write the last shard and mark the part as complete."""
        if self._keys:
            self._flush()
        self._manifest = replace(self._manifest, complete=True)
        manifests.write(self.folder, self._manifest)

    def _settle(self, outputs: dict[str, Any]) -> Encoding:
        """Set the encoding from the first outputs."""
        identity = replace(self._manifest.identity, outputs=describe(outputs))
        self._encoding = self._encoding_of(identity)
        self._manifest = replace(self._manifest, identity=identity)
        manifests.write(self.folder, self._manifest)
        return self._encoding

    def _full_size(self, encoding: Encoding) -> int:
        if self._shard_size is not None:
            return self._shard_size
        record_bytes = encoding.record.itemsize * self._manifest.identity.views
        return max(1, min(SHARD_EXAMPLES, SHARD_BYTES // (16 + record_bytes)))

    def _flush(self) -> None:
        keys = np.concatenate(self._keys)
        shard = shards.write(
            self.folder, self._manifest, keys, np.concatenate(self._records)
        )
        written = [*self._manifest.shards, shard]
        self._manifest = replace(self._manifest, shards=written)
        manifests.write(self.folder, self._manifest)
        self._index.add(keys)
        content = keys.tobytes()
        self._pending.difference_update(
            content[start : start + 16] for start in range(0, len(content), 16)
        )
        self._keys, self._records = [], []

    def _resume(self) -> None:
        name = manifests.part_name(self._part)
        for pattern in (f".{name}.json.*", f".{name}-*"):
            for leftover in self.folder.glob(pattern):
                shutil.rmtree(leftover)
        self._check_other_parts()
        file = self.folder / f"{name}.json"
        if file.exists():
            found = manifests.read(file)
            differences = found.identity.differences(self._manifest.identity)
            if differences:
                raise StaleCacheError(
                    f"The folder `{self.folder}` holds a teacher cache of "
                    f"something else. It has {'; '.join(differences)}. Build "
                    "into another folder, or delete this one."
                )
            outputs = self._manifest.identity.outputs
            identity = found.identity
            if identity.outputs is None and outputs is not None:
                identity = replace(identity, outputs=outputs)
            self._manifest = replace(found, identity=identity, complete=False)
            self._open_shards()
        named = {shard.name for shard in self._manifest.shards}
        for orphan in self.folder.glob(f"{name}-*.shard"):
            if orphan.name not in named:
                orphan.unlink()

    def _open_shards(self) -> None:
        identity = self._manifest.identity
        if identity.outputs is None:
            return
        self._encoding = self._encoding_of(identity)
        size = self._encoding.record.itemsize * identity.views
        keys = [
            shards.read_keys(self.folder, self._manifest, number, size)
            for number in range(len(self._manifest.shards))
        ]
        if keys:
            self._index.add(np.concatenate(keys))

    def _check_other_parts(self) -> None:
        for file in self.folder.glob("part-*.json"):
            part = manifests.part_of(file)
            if part and part[1] != self._part[1]:
                raise StaleCacheError(
                    f"The folder `{self.folder}` holds a teacher cache "
                    f"divided into {part[1]} parts. Received: shard="
                    f"{self._part}. Use the same division, or another folder."
                )

    @staticmethod
    def _encoding_of(identity: Identity) -> Encoding:
        return Encoding(identity.outputs, identity.dtype, identity.top_k)


def check_part(part: Any) -> tuple[int, int]:
    """Return `part` if it is `(i, n)` with 0 <= i < n.

    Raises:
        ValueError: If it is not.
    """
    whole = isinstance(part, (tuple, list)) and len(part) == 2
    if not whole or not all(type(number) is int for number in part):
        whole = False
    if not whole or not 0 <= part[0] < part[1]:
        raise ValueError(
            requirement(
                "TeacherCache.build",
                "shard",
                "(i, n) with 0 <= i < n",
                part,
                "Builder i of n keeps its share of the examples.",
            )
        )
    return int(part[0]), int(part[1])
