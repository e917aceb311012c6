"""Where an example is, from its key."""

import numpy as np


class Index:
    """Finds positions of 128-bit keys by a binary search over half of them.

    Holds 24 bytes an example; the halves are compared in full.

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

    def __len__(self) -> int:
        return len(self._first)

    def add(self, keys: np.ndarray) -> None:
        """Give keys `(count, 2)` the positions that follow."""
        order = np.argsort(keys[:, 0], kind="stable")
        first = keys[order, 0]
        if not len(self):
            self._first = first
            self._second = keys[order, 1]
            self._position = order.astype(np.int64)
            return
        places = np.searchsorted(self._first, first)
        position = order + len(self)
        self._first = np.insert(self._first, places, first)
        self._second = np.insert(self._second, places, keys[order, 1])
        self._position = np.insert(self._position, places, position)

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Return the position of each key, -1 where there is none."""
        found = np.full(len(keys), -1, np.int64)
        if not len(self):
            return found
        places = np.searchsorted(self._first, keys[:, 0])
        near = np.minimum(places, len(self) - 1)
        same = self._first[near] == keys[:, 0]
        same &= self._second[near] == keys[:, 1]
        if same.all():
            return self._position[near]
        queries = np.arange(len(keys))
        # One round; more only where two keys share their first half.
        while len(queries):
            inside = places < len(self)
            queries, places = queries[inside], places[inside]
            alike = self._first[places] == keys[queries, 0]
            queries, places = queries[alike], places[alike]
            same = self._second[places] == keys[queries, 1]
            found[queries[same]] = self._position[places[same]]
            queries, places = queries[~same], places[~same] + 1
        return found
