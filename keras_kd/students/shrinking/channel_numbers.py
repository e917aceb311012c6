"""Numbers for channels, and sets of channels that stay or go together.

A residual addition ties two convolutions together: if one loses its second
channel, the other has to lose its second channel too, or the addition would mix
different channels. All such ties must be known before any channel is dropped.
An example, with a number for each channel:

    input ---- conv a --+-- conv b ---- add ---- concatenate ---- dense
    0 0 0      1 2 3    |   4 5 6        |        |
                        +----------------+      conv c
                        1 2 3                   7 8

A layer that sets its own width (conv a, b and c) makes new channels and gives
each one a number of its own. From there on, every tensor carries a numbering:
for each of its entries, the number of the channel that the entry belongs to.

- An addition joins the channels that it adds: either both stay or both go.
  Here `join` makes the sets {1 4}, {2 5} and {3 6}.
- A concatenation joins nothing; it puts the numberings side by side: 1 2 3 7 8.
  Reshape and transpose only move numbers around. So the dense layer knows
  which rows of its kernel belong to which channel, even after a Flatten, whose
  numbering is 1 2 3 7 8 1 2 3 7 8 ..., once per pixel.
- Number 0, `WHOLE`, stands for everything that always stays, such as the
  input. A channel that is added to the input is joined with 0, and so stays.

The student keeps or drops whole sets. Say it keeps two of the three channels
of conv a, dropping the set {2 5}, and drops 8. Then

- conv a makes channels 1 and 3, and conv b reads 1 and 3 and makes 4 and 6, so
  that the addition still fits;
- conv c makes channel 7;
- the dense layer keeps the kernel rows of channels 1, 3 and 7.

The sets are a union-find. Each number points to itself or to a smaller number
of its set; the number that points to itself is the root, and stands for the
set. To join two channels, follow both to their roots and let the larger root
point to the smaller. That way 0 is always a root.
"""

from math import prod
from typing import Any

import numpy as np

from keras_kd.core.keras_internals import calls_of

# For each entry of a tensor, without the batch axis, the number of its channel.
# An axis along which the number does not change has size 1, so the numbering of
# an image has only as many entries as channels. None: not known.
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
            # Path halving: the next search is half as long.
            parent[number] = number = parent[parent[number]]
        return number


def whole(tensor: Any) -> np.ndarray:
    """Return the numbering of a tensor that always stays whole."""
    return np.full((1,) * (len(tensor.shape) - 1), WHOLE)


def along(channels: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """Return the numbering of a tensor with these channels on one axis."""
    shape = [1] * rank
    shape[axis] = len(channels)
    return channels.reshape(shape)


def known_sizes(
    old: tuple, new: tuple
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Replace the unknown sizes of a reshape by numbers that fit each other.

    Returns:
        Both shapes without None; None for the second if no size fits.
    """
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
    """Return the numbering after a permutation of the axes."""
    axes = getattr(operation, "dims", None)
    if axes is not None:  # Permute counts from 1, without the batch.
        return known[0].transpose([axis - 1 for axis in axes])
    axes = getattr(operation, "axes", None)
    if axes is None or axes[0] != 0:
        return None
    return known[0].transpose([axis - 1 for axis in axes[1:]])


def sliced(operation: Any, given: list, known: list, result: Any) -> Numbering:
    """Return the numbering of a slice such as `x[:, 0]`."""
    key = calls_of(operation)[0].arguments.args[1]
    key = [key] if isinstance(key, int) else list(key)
    rank = len(given[0].shape)
    if Ellipsis in key:
        at = key.index(Ellipsis)
        key[at : at + 1] = [slice(None)] * (rank + 1 - len(key))
    key += [slice(None)] * (rank - len(key))
    if not all(isinstance(part, (int, slice)) for part in key):
        return None
    # A slice of the channels or of the batch cannot be followed.
    for part, size in zip(key, (2, *known[0].shape), strict=True):
        if size > 1 and part != slice(None):
            return None
    return known[0][
        tuple(0 if isinstance(part, int) else slice(None) for part in key[1:])
    ]


def reduced(operation: Any, given: list, known: list, result: Any) -> Numbering:
    """Return the numbering after a reduction over axes."""
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
