"""Labels: the number of the channel of each entry of a tensor."""

from math import prod
from typing import Any

import numpy as np

# What a tensor is made of: the number of the channel of each of its entries,
# without the batch. An axis along which it does not change has size 1, so
# that images take no more room than their channels. None: not known.
Labels = np.ndarray | None

# The channel of everything that stays whole, such as the model's inputs.
WHOLE = 0


class Numbers:
    """The numbers given to channels, and which of them are one channel.

    >>> numbers = Numbers()
    >>> numbers.join(numbers.new(3), numbers.new(3))
    >>> numbers.roots()
    array([0, 1, 2, 3, 1, 2, 3])
    """

    def __init__(self) -> None:
        self._parent = [WHOLE]

    def new(self, count: int) -> np.ndarray:
        """Number new channels."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return np.arange(start, start + count)

    def join(self, first: np.ndarray, second: np.ndarray) -> None:
        """Make channels one with those of another array, entry by entry."""
        pairs = zip(
            *(x.ravel().tolist() for x in np.broadcast_arrays(first, second)),
            strict=True,
        )
        for pair in pairs:
            low, high = sorted(map(self._root, pair))
            # The smaller number stands for both: WHOLE always does.
            self._parent[high] = low

    def roots(self) -> np.ndarray:
        """The number that stands for each channel and those it is one with."""
        return np.array([self._root(n) for n in range(len(self._parent))])

    def _root(self, number: int) -> int:
        parent = self._parent
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number


def whole(tensor: Any) -> np.ndarray:
    """Labels of a tensor that stays whole."""
    return np.full((1,) * (len(tensor.shape) - 1), WHOLE)


def along(channels: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """Labels of a tensor with these channels on one axis."""
    shape = [1] * rank
    shape[axis] = len(channels)
    return channels.reshape(shape)


def known_sizes(
    old: tuple, new: tuple
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Put numbers in place of unknown sizes, the same on both sides."""
    before = tuple(2 if size is None else size for size in old)
    known = prod(size for size in new if size is not None)
    if new.count(None) > 1 or prod(before) % known:
        return before, None
    rest = prod(before) // known
    after = tuple(rest if size is None else size for size in new)
    return before, after if prod(after) == prod(before) else None


def permuted(operation: Any, given: list, known: list, result: Any) -> Labels:
    """Labels after axes have changed places."""
    axes = getattr(operation, "dims", None)
    if axes is not None:  # Permute counts from 1 and leaves out the batch.
        return known[0].transpose([axis - 1 for axis in axes])
    axes = getattr(operation, "axes", None)
    if axes is None or axes[0] != 0:
        return None
    return known[0].transpose([axis - 1 for axis in axes[1:]])


def sliced(operation: Any, given: list, known: list, result: Any) -> Labels:
    """Labels of a part of a tensor, `x[:, 0]` or the like."""
    key = operation._inbound_nodes[0].arguments.args[1]
    key = [key] if isinstance(key, int) else list(key)
    rank = len(given[0].shape)
    if Ellipsis in key:
        at = key.index(Ellipsis)
        key[at : at + 1] = [slice(None)] * (rank + 1 - len(key))
    key += [slice(None)] * (rank - len(key))
    if not all(isinstance(part, (int, slice)) for part in key):
        return None
    # Of the channels, and of the batch, no part is known.
    for part, size in zip(key, (2, *known[0].shape), strict=True):
        if size > 1 and part != slice(None):
            return None
    return known[0][
        tuple(0 if isinstance(part, int) else slice(None) for part in key[1:])
    ]


def reduced(operation: Any, given: list, known: list, result: Any) -> Labels:
    """Labels after axes have been summed over."""
    rank = len(given[0].shape)
    if operation.axis is None:
        return None
    gone = {axis % rank - 1 for axis in operation.axis}
    if -1 in gone or len(gone) == rank - 1:
        return None
    if any(known[0].shape[axis] > 1 for axis in gone):
        return whole(result)
    return known[0].reshape(
        [
            size
            for axis, size in enumerate(known[0].shape)
            if operation.keepdims or axis not in gone
        ]
    )
