"""Channels by number, and which of them are one.

Before a channel can go, everything that has to go with it must be known:

    input ---- conv a --+-- conv b ---- add ---- concatenate ---- dense
    0 0 0      1 2 3    |   4 5 6        |        |
                        +----------------+      conv c
                        1 2 3                   7 8

A layer with a width of its own makes channels and gives each a number that no
other has. From there a tensor carries its numbering: for each of its entries
the number of the channel that the entry belongs to.

- Where tensors are added, the channels that meet are one from then on: either
  both stay or both go. `join` makes the sets {1 4} {2 5} {3 6}.
- Where they are concatenated nothing is joined, the numberings stand side by
  side: 1 2 3 7 8. Reshaping and transposing only move them. So the dense layer
  knows which rows of its kernel belong to which channel, also after a Flatten,
  whose numbering is 1 2 3 7 8 1 2 3 7 8 ..., once a pixel.
- Number 0, `WHOLE`, is everything that always stays, such as the input. What
  is added to it is joined with it, and stays.

In the end the student keeps or drops whole sets, here {1 4}, {2 5}, {3 6}, {7}
and {8}, and every layer still fits its neighbours.

The sets are a union-find. Each number points to itself or to a smaller number
of its set; the one that points to itself, the root, stands for the set. To join
two channels, follow both to their roots and let the larger root point to the
smaller: 0 always ends up as a root.
"""

from math import prod
from typing import Any

import numpy as np

from keras_kd.core.keras_internals import calls_of

# For each entry of a tensor, without the batch, the number of its channel. An
# axis along which it does not change has size 1, so that the numbering of an
# image is as small as its channels. None: not known.
Numbering = np.ndarray | None

# The channel of everything that stays whole, such as the model's inputs.
WHOLE = 0


class ChannelSets:
    """The numbered channels, in sets that stay or go together.

    >>> channels = ChannelSets()
    >>> channels.join(channels.new(3), channels.new(3))
    >>> channels.roots()
    array([0, 1, 2, 3, 1, 2, 3])
    """

    def __init__(self) -> None:
        self._parent = [WHOLE]

    def new(self, count: int) -> np.ndarray:
        """Number new channels, each a set of its own."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return np.arange(start, start + count)

    def join(self, first: np.ndarray, second: np.ndarray) -> None:
        """Join the sets of the channels of two arrays, entry by entry."""
        pairs = zip(
            *(x.ravel().tolist() for x in np.broadcast_arrays(first, second)),
            strict=True,
        )
        for pair in pairs:
            low, high = sorted(map(self._root, pair))
            self._parent[high] = low

    def roots(self) -> np.ndarray:
        """Return, for each channel, the number that stands for its set."""
        return np.array([self._root(n) for n in range(len(self._parent))])

    def _root(self, number: int) -> int:
        parent = self._parent
        while parent[number] != number:
            # Halves the way for the next time.
            parent[number] = number = parent[parent[number]]
        return number


def whole(tensor: Any) -> np.ndarray:
    """Numbering of a tensor that stays whole."""
    return np.full((1,) * (len(tensor.shape) - 1), WHOLE)


def along(channels: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """Numbering of a tensor with these channels on one axis."""
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


def permuted(
    operation: Any, given: list, known: list, result: Any
) -> Numbering:
    """Numbering after axes have changed places."""
    axes = getattr(operation, "dims", None)
    if axes is not None:  # Permute counts from 1 and leaves out the batch.
        return known[0].transpose([axis - 1 for axis in axes])
    axes = getattr(operation, "axes", None)
    if axes is None or axes[0] != 0:
        return None
    return known[0].transpose([axis - 1 for axis in axes[1:]])


def sliced(operation: Any, given: list, known: list, result: Any) -> Numbering:
    """Numbering of a part of a tensor, `x[:, 0]` or the like."""
    key = calls_of(operation)[0].arguments.args[1]
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


def reduced(operation: Any, given: list, known: list, result: Any) -> Numbering:
    """Numbering after axes have been summed over."""
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
