"""An index from the key of an example to its position."""

import numpy as np


class Index:
    """Finds the positions of 128-bit keys.

    Keys are sorted. A table says where the keys with the same first bits
    begin; as keys are hashes, that is about one key. A look-up takes one
    step where a binary search takes twenty. The index takes some 40 bytes
    per example.

    Example:
    >>> import numpy as np
    >>> from keras_kd.teachers.cache.index import Index
    >>> index = Index()
    >>> index.add(np.array([[5, 1], [3, 2]], "<u8"))
    >>> index.find(np.array([[3, 2], [3, 1]], "<u8")).tolist()
    [1, -1]
    """

    def __init__(self) -> None:
        self._first = np.empty(0, "<u8")
        self._second = np.empty(0, "<u8")
        self._position = np.empty(0, np.int64)
        self._tabulate()

    def __len__(self) -> int:
        return len(self._first)

    def add(self, keys: np.ndarray) -> None:
        """Add keys `(count, 2)` at the next positions."""
        order = np.argsort(keys[:, 0], kind="stable")
        places = np.searchsorted(self._first, keys[order, 0])
        position = order + len(self)
        self._first = np.insert(self._first, places, keys[order, 0])
        self._second = np.insert(self._second, places, keys[order, 1])
        self._position = np.insert(self._position, places, position)
        self._tabulate()

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Return the position of each key, or -1 if it is unknown."""
        first, second = keys[:, :1], keys[:, 1:]
        begin = self._begin[(keys[:, 0] >> self._shift).astype(np.int64)]
        places = np.minimum(begin[:, None] + self._span, len(self) - 1)
        same = self._first[places] == first
        rows, columns = np.nonzero(same)
        places = places[rows, columns]
        same = self._second[places] == second[rows, 0]
        found = np.full(len(keys), -1, np.int64)
        found[rows[same]] = self._position[places[same]]
        return found

    def _tabulate(self) -> None:
        bits = max(len(self), 2).bit_length()
        self._shift = np.uint64(64 - bits)
        prefixes = (self._first >> self._shift).astype(np.int64)
        counts = np.bincount(prefixes, minlength=2**bits)
        self._begin = np.cumsum(counts) - counts
        self._span = np.arange(counts.max())
