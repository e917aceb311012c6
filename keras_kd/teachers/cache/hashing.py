"""The key of an example: a 128-bit hash of its content.

Two examples have the same key if their arrays have the same dtypes, shapes and
bytes; their position in the data does not matter. xxh3 is fast and has few
accidental collisions, but does not resist deliberate ones.
"""

import functools
import struct
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import xxhash

from keras_kd.teachers.cache.structure import dtype_name

KEY_BYTES = 16


def keys(x: Any) -> np.ndarray:
    """Hash each example of a batch.

    Args:
        x: Arrays `(batch, ...)`, in any structure; dict entries are hashed
            in the order of their names.

    Returns:
        `(batch, 2)` of uint64.

    Raises:
        TypeError: If an array holds Python objects other than text.

    Example:
    >>> import numpy as np
    >>> from keras_kd.teachers.cache.hashing import keys
    >>> one, other, again = keys(np.array([3.0, 4.0, 3.0])).tolist()
    >>> one == again, one == other
    (True, False)
    """
    leaves = [np.asarray(leaf) for leaf in keras.tree.flatten(x)]
    seed = _seed(tuple((leaf.dtype, leaf.shape[1:]) for leaf in leaves))
    rows = [_rows(leaf) for leaf in leaves]
    if len(rows) == 1:
        digest = xxhash.xxh3_128_digest
        digests = [digest(row, seed) for row in rows[0]]
    else:
        digests = []
        for parts in zip(*rows, strict=True):
            state = xxhash.xxh3_128(seed=seed)
            for part in parts:
                state.update(part)
            digests.append(state.digest())
    return from_bytes(b"".join(digests))


def from_bytes(content: Any) -> np.ndarray:
    """View 16-byte keys as `(count, 2)` of uint64."""
    return np.frombuffer(content, "<u8").reshape(-1, 2)


def parts(keys: np.ndarray, total: int) -> np.ndarray:
    """Return the part, from 0 to `total - 1`, that each key belongs to."""
    return (keys[:, 1] % np.uint64(total)).astype(np.int64)


def show_key(key: np.ndarray) -> str:
    """Format a key for error messages."""
    return key.astype("<u8").tobytes().hex()


@functools.lru_cache
def _seed(leaves: tuple[tuple[Any, tuple[int, ...]], ...]) -> int:
    """Hash dtypes and shapes, which are part of an example's content."""
    signature = [(dtype_name(dtype), shape) for dtype, shape in leaves]
    return xxhash.xxh3_64_intdigest(repr(signature).encode())


def _rows(leaf: np.ndarray) -> Iterator[Any]:
    """Yield the bytes of each example of one array."""
    if dtype_name(leaf.dtype) == "string":
        return _text_rows(leaf)
    if leaf.dtype.hasobject:
        raise _no_content(leaf.dtype)
    if not leaf.dtype.isnative:
        leaf = leaf.astype(leaf.dtype.newbyteorder("="))
    count = len(leaf)
    width = leaf.nbytes // count if count else 0
    view = np.ascontiguousarray(leaf).reshape(-1).view(np.uint8).data
    return (
        view[start : start + width]
        for start in range(0, count * width or count, width or 1)
    )


def _text_rows(leaf: np.ndarray) -> Iterator[bytes]:
    for row in leaf.reshape(len(leaf), -1):
        texts = [_encoded(text) for text in row.tolist()]
        # Prefix the length, or "ab", "c" would have the key of "a", "bc".
        yield b"".join(struct.pack("<q", len(t)) + t for t in texts)


def _encoded(text: Any) -> bytes:
    if isinstance(text, bytes):
        return text
    if isinstance(text, str):
        return text.encode()
    raise _no_content(type(text).__name__)


def _no_content(kind: Any) -> TypeError:
    return TypeError(
        "`TeacherCache` hashes numbers and text. Received: an array of "
        f"{kind}. Convert it to a number type."
    )
