"""Operations in which the channels of several tensors meet."""

from typing import Any

import numpy as np

from keras_kd.students.shrinking.labels import WHOLE
from keras_kd.students.shrinking.labels import Labels
from keras_kd.students.shrinking.labels import Numbers
from keras_kd.students.shrinking.labels import known_sizes


class Joins:
    """Follows channels through sums, products, joints and reshaping.

    Args:
        numbers: The channels; those that meet are made one.
        rows: Takes channels in rows that have to keep equally many.
    """

    def __init__(self, numbers: Numbers, rows: list[np.ndarray]) -> None:
        self._numbers = numbers
        self._rows = rows

    def reshaped(
        self, operation: Any, given: list, known: list, result: Any
    ) -> Labels:
        """Channels after a Reshape, a Flatten or the like."""
        old, new = known_sizes(given[0].shape[1:], result.shape[1:])
        first = getattr(operation, "data_format", None) == "channels_first"
        if new is None or (first and len(old) > 1):
            return None
        labels = np.broadcast_to(known[0], old).reshape(new)
        for axis in range(labels.ndim):
            start = np.take(labels, [0], axis)
            if (labels == start).all():
                labels = start
        wide = [size for size in labels.shape if size > 1]
        if len(wide) > 1:
            self._rows.append(labels.reshape(-1, wide[-1]))
        return labels

    def joined(
        self, operation: Any, given: list, known: list, result: Any
    ) -> Labels:
        """Channels of a concatenation."""
        axis = operation.axis
        axis = axis - 1 if axis > 0 else axis % (len(result.shape) - 1)
        sizes = [tensor.shape[1 + axis] for tensor in given]
        if all(labels.shape[axis] == 1 for labels in known) and (
            None in sizes or any(size > 1 for size in sizes)
        ):
            return self.merged([result] * len(known), known)
        shape = np.broadcast_shapes(
            *((*x.shape[:axis], 1, *x.shape[axis + 1 :]) for x in known)
        )
        return np.concatenate(
            [
                np.broadcast_to(
                    labels, (*shape[:axis], size, *shape[axis + 1 :])
                )
                for labels, size in zip(known, sizes, strict=True)
            ],
            axis,
        )

    def product(
        self, operation: Any, given: list, known: list, result: Any
    ) -> Labels:
        """Channels of a matrix product; those it sums over are one."""
        left, right = known
        if left.ndim != right.ndim or left.ndim < 2:
            return None
        if left.shape[-1] > 1 or right.shape[-2] > 1:
            if left.shape[-2] > 1 or right.shape[-1] > 1:
                return None
            self._numbers.join(left[..., 0, :], right[..., 0])
            return np.full((1,) * left.ndim, WHOLE)
        if (left != WHOLE).any() and (right != WHOLE).any():
            return None
        return right if (right != WHOLE).any() else left

    def merged(self, given: list, known: list[Labels]) -> Labels:
        """Channels of a sum or its like; those that meet are one."""
        rank = max(len(tensor.shape) for tensor in given) - 1
        full = [1] * rank
        wide = set()
        for tensor, labels in zip(given, known, strict=True):
            if labels is None or labels.ndim != rank:
                return None
            wide |= {axis for axis in range(rank) if labels.shape[axis] > 1}
            for axis, size in enumerate(tensor.shape[1:]):
                full[axis] = size if size != 1 else full[axis]
        # A mask of one channel is spread over all, and is none of them.
        parts = [
            labels
            for tensor, labels in zip(given, known, strict=True)
            if labels is not None
            and all(tensor.shape[1 + axis] == full[axis] for axis in wide)
        ]
        for other in parts[1:]:
            self._numbers.join(parts[0], other)
        shape = np.broadcast_shapes(*(part.shape for part in parts))
        return np.broadcast_to(parts[0], shape)
