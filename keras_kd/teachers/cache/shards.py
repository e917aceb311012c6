"""Shards: files with a header, a block of keys and a block of records.

All numbers are little-endian. The header is 64 bytes: magic, version, part,
number of parts, number of the shard, number of examples (8 bytes), digest of
the cache's identity (16 bytes), and the xxh3 of all these (16 bytes).
"""

import errno
import struct
from pathlib import Path

import numpy as np
import xxhash

from keras_kd.core.errors import StaleCacheError
from keras_kd.core.files import staged
from keras_kd.teachers.cache.hashing import KEY_BYTES
from keras_kd.teachers.cache.hashing import from_bytes
from keras_kd.teachers.cache.manifest import VERSION
from keras_kd.teachers.cache.manifest import Manifest
from keras_kd.teachers.cache.manifest import Shard
from keras_kd.teachers.cache.manifest import shard_name

HEADER_BYTES = 64
_MAGIC = b"kkdcache"
_CHUNK_BYTES = 1 << 20


def write(
    folder: Path, manifest: Manifest, keys: np.ndarray, records: np.ndarray
) -> Shard:
    """Write the next shard of a manifest atomically.

    Raises:
        OSError: If the disk is full or the folder read-only; the shards
            written before are kept.
    """
    name = shard_name(manifest.part, len(manifest.shards))
    top = _header(manifest, len(manifest.shards), len(keys)) + keys.tobytes()
    body = records.tobytes()
    file_hash = xxhash.xxh3_128(top)
    file_hash.update(body)
    try:
        with staged(folder / name) as scratch, scratch.open("wb") as file:
            file.write(top)
            file.write(body)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        advice = "Free some space" if full else "Make the folder writable"
        raise OSError(
            error.errno,
            f"Cannot write `{folder / name}`: {error.strerror or error}. "
            f"{advice} and build again: the {len(manifest.shards)} shards "
            "that are finished are kept.",
        ) from error
    return Shard(
        name,
        len(keys),
        len(top) + len(body),
        xxhash.xxh3_128_hexdigest(top),
        file_hash.hexdigest(),
    )


def read_keys(
    folder: Path, manifest: Manifest, number: int, record_bytes: int
) -> np.ndarray:
    """Check a shard's size, header and keys, and return the keys.

    Raises:
        StaleCacheError: Names the shard and what is wrong with it.
    """
    shard = manifest.shards[number]
    path = folder / shard.name
    if not path.is_file():
        raise _bad(path, "it is missing")
    size = path.stat().st_size
    wanted = HEADER_BYTES + shard.examples * (KEY_BYTES + record_bytes)
    if size != shard.size_bytes or size != wanted:
        raise _bad(path, f"it has {size} bytes instead of {wanted}")
    with path.open("rb") as file:
        top = file.read(HEADER_BYTES + shard.examples * KEY_BYTES)
    if top[:HEADER_BYTES] != _header(manifest, number, shard.examples):
        raise _bad(path, "it belongs to another cache or another place")
    if xxhash.xxh3_128_hexdigest(top) != shard.key_hash:
        raise _bad(path, "its keys do not match their checksum")
    return from_bytes(top[HEADER_BYTES:])


def map_records(folder: Path, shard: Shard, record_bytes: int) -> np.ndarray:
    """Map a shard's records into memory: `(examples, record bytes)`.

    Raises:
        StaleCacheError: If the file is shorter than it was, or gone.
    """
    path = folder / shard.name
    offset = HEADER_BYTES + shard.examples * KEY_BYTES
    shape = (shard.examples, record_bytes)
    try:
        return np.memmap(path, np.uint8, "r", offset, shape)
    except (OSError, ValueError) as error:
        raise _bad(path, f"it changed after opening ({error})") from error


def check(folder: Path, shard: Shard) -> None:
    """Check every byte of a shard.

    Raises:
        StaleCacheError: Names the shard, if its bytes are other bytes.
    """
    if not is_whole(folder, shard):
        raise _bad(folder / shard.name, "it does not match its checksum")


def is_whole(folder: Path, shard: Shard) -> bool:
    """Tell whether a shard's bytes match its checksum."""
    file_hash = xxhash.xxh3_128()
    try:
        with (folder / shard.name).open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                file_hash.update(chunk)
    except OSError:
        return False
    return file_hash.hexdigest() == shard.file_hash


def _header(manifest: Manifest, number: int, examples: int) -> bytes:
    content = struct.pack(
        "<8sIIIIQ16s",
        _MAGIC,
        VERSION,
        *manifest.part,
        number,
        examples,
        manifest.identity.digest(),
    )
    return content + xxhash.xxh3_128_digest(content)


def _bad(path: Path, reason: str) -> StaleCacheError:
    return StaleCacheError(
        f"The teacher cache's shard `{path}` is not what was written: "
        f"{reason}. Restore it, or delete the folder and build again."
    )
