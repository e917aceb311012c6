"""An opened cache: finds and reads the records of examples."""

import functools
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_kd.core.errors import StaleCacheError
from keras_kd.teachers.cache import manifest as manifests
from keras_kd.teachers.cache import shards
from keras_kd.teachers.cache.encoding import Encoding
from keras_kd.teachers.cache.index import Index
from keras_kd.teachers.cache.manifest import Manifest

_MAPPED_SHARDS = 512  # each keeps a file open
_IN_MEMORY_BYTES = 256 << 20


class Store:
    """Finds records by key, and reads them when they are needed.

    Manifests, shard sizes and keys are checked on opening, and the checksum
    of each shard once, when it is first mapped: that reads the whole file.
    Shards are memory-mapped. A cache of at most 256 MiB is copied into memory
    at the first read: a batch from many shards then takes one step instead
    of one per shard.

    Args:
        path: Folder of the cache.
        partial: Whether parts may be missing.

    Raises:
        FileNotFoundError: If there is no cache.
        StaleCacheError: If a part or shard is missing, belongs to another
            cache, or was written by a newer version; if a manifest, a header
            or keys are damaged. If records are damaged, on the first read.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, partial: bool = False
    ) -> None:
        self.folder = Path(path)
        self.manifests = read_parts(self.folder, partial=partial)
        self.identity = next(
            (
                manifest.identity
                for manifest in self.manifests
                if manifest.identity.outputs is not None
            ),
            self.manifests[0].identity,
        )
        self.encoding = Encoding(
            self.identity.outputs or {},
            self.identity.dtype,
            self.identity.top_k,
        )
        self._record_bytes = self.encoding.record.itemsize * self.identity.views
        self.index = Index()
        counts, keys = [0], []
        self._places: list[tuple[Manifest, int]] = []
        for manifest in self.manifests:
            for number, shard in enumerate(manifest.shards):
                keys.append(
                    shards.read_keys(
                        self.folder, manifest, number, self._record_bytes
                    )
                )
                counts.append(shard.examples)
                self._places.append((manifest, number))
        self._starts = np.cumsum(counts)
        if keys:
            self.index.add(np.concatenate(keys))
        self._checked: set[int] = set()
        self._records = functools.lru_cache(_MAPPED_SHARDS)(self._map)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def complete(self) -> bool:
        """Whether every part saw the whole data set."""
        return len(self.manifests) == self.manifests[0].part[1] and all(
            manifest.complete for manifest in self.manifests
        )

    @property
    def size_bytes(self) -> int:
        """Bytes of all shards and manifests."""
        return sum(
            (self.folder / manifest.name).stat().st_size
            + sum(shard.size_bytes for shard in manifest.shards)
            for manifest in self.manifests
        )

    def read(self, positions: np.ndarray, views: np.ndarray) -> dict[str, Any]:
        """Return the outputs of one view of the example at each position.

        Raises:
            StaleCacheError: If a shard that is read for the first time does
                not match its checksum.
        """
        record = self.encoding.record
        if self._in_memory is not None:
            rows = np.take(self._in_memory, self._rows(positions, views), 0)
            return self.encoding.decode(rows.view(record)[:, 0])
        rows = np.empty((len(positions), record.itemsize), np.uint8)
        order = np.argsort(positions)
        positions, views = positions[order], views[order]
        cuts = np.searchsorted(positions, self._starts)
        for number in np.flatnonzero(cuts[1:] > cuts[:-1]).tolist():
            part = slice(cuts[number], cuts[number + 1])
            wanted = positions[part] - self._starts[number]
            rows[order[part]] = np.take(
                self._records(number), self._rows(wanted, views[part]), 0
            )
        return self.encoding.decode(rows.view(record)[:, 0])

    @functools.cached_property
    def _in_memory(self) -> np.ndarray | None:
        """All records, if they are few or in one shard; otherwise `None`."""
        if len(self._places) == 1:
            return self._records(0)
        if len(self) * self._record_bytes > _IN_MEMORY_BYTES:
            return None
        width = self.encoding.record.itemsize
        records = np.empty((len(self) * self.identity.views, width), np.uint8)
        for number in range(len(self._places)):
            start, stop = self._starts[number : number + 2]
            part = slice(*(self.identity.views * np.array([start, stop])))
            records[part] = self._records(number)
        return records

    def _rows(self, positions: np.ndarray, views: np.ndarray) -> np.ndarray:
        if self.identity.views == 1:
            return positions
        return positions * self.identity.views + views

    def verify(self) -> None:
        """Read every byte again, also of shards that were checked before.

        Raises:
            StaleCacheError: Names every shard that is damaged.
        """
        for manifest in self.manifests:
            if manifests.read(self.folder / manifest.name) != manifest:
                raise StaleCacheError(
                    f"`{self.folder / manifest.name}` changed since the "
                    "cache was opened. Open it again."
                )
        bad = [
            manifest.shards[number].name
            for manifest, number in self._places
            if not shards.is_whole(self.folder, manifest.shards[number])
        ]
        if bad:
            raise StaleCacheError(
                f"The teacher cache `{self.folder}` has "
                f"{len(bad)} damaged of {len(self._places)} shards: "
                f"{', '.join(bad[:20])}{', ...' if len(bad) > 20 else ''}. "
                "Restore them, or delete the folder and build again."
            )

    def _map(self, number: int) -> np.ndarray:
        manifest, place = self._places[number]
        shard = manifest.shards[place]
        mapped = shards.map_records(self.folder, shard, self._record_bytes)
        if number not in self._checked:  # It may be mapped several times.
            shards.check(self.folder, shard)
            self._checked.add(number)
        # A plain array: slices of a memmap are several times slower.
        return np.asarray(mapped).reshape(-1, self.encoding.record.itemsize)


def read_parts(folder: Path, *, partial: bool = False) -> list[Manifest]:
    """Read the manifest of every part.

    Raises:
        FileNotFoundError: If there is none.
        StaleCacheError: If one is missing, or parts do not belong together.
    """
    names = sorted(folder.glob("part-*.json")) if folder.is_dir() else []
    parts = {part: file for file in names if (part := manifests.part_of(file))}
    if not parts:
        raise FileNotFoundError(
            f"No teacher cache at `{folder}`. Build one with "
            "`keras_kd.TeacherCache.build(path, teacher, dataset)`."
        )
    totals = sorted({total for _, total in parts})
    if len(totals) > 1:
        raise StaleCacheError(
            f"The teacher cache `{folder}` mixes divisions into "
            f"{' and '.join(map(str, totals))} parts. Build each in a folder "
            "of its own."
        )
    missing = [i for i in range(totals[0]) if (i, totals[0]) not in parts]
    if missing and not partial:
        shown = ", ".join(f"({i}, {totals[0]})" for i in missing[:20])
        raise StaleCacheError(
            f"The teacher cache `{folder}` is not whole: {len(missing)} of "
            f"{totals[0]} parts are missing. Build `shard=` {shown}."
        )
    found = [manifests.read(parts[part]) for part in sorted(parts)]
    for manifest in found[1:]:
        differences = manifest.identity.differences(found[0].identity)
        if differences:
            raise StaleCacheError(
                f"The parts of the teacher cache `{folder}` do not belong "
                f"together: `{manifest.name}` differs from "
                f"`{found[0].name}` in {'; '.join(differences)}."
            )
    return found


def symbolic(outputs: Any, key: str) -> Any:
    """Return `KerasTensor`s of a batch of stored outputs."""
    if outputs is None or key not in outputs:
        return None
    return keras.tree.map_structure(
        lambda leaf: keras.KerasTensor((None, *leaf.shape), "float32"),
        outputs[key],
    )
