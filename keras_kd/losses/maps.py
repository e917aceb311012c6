"""The base class of the losses that compare maps, positions by channels."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import requirement
from keras_kd.losses.base import DistillationLoss

FORMATS = ("channels_last", "channels_first")


class MapLoss(DistillationLoss):
    """Compares two maps of features of each example.

    Where the maps differ in size, the larger is average-pooled to the
    smaller, along each axis. The terms of several layers add up.

    A subclass writes `compare`. Padded positions of sequences count.
    """

    kind = "feature"
    reads = "layers"

    def __init__(
        self, *, data_format: str = "channels_last", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = check_choice(
            type(self).__name__, "data_format", data_format, FORMATS
        )

    def call(
        self, teacher_outputs: Any, student_outputs: Any, labels: Any = None
    ) -> Any:
        """Return the value of each example."""
        pairs = zip(
            keras.tree.flatten(teacher_outputs),
            keras.tree.flatten(student_outputs),
            strict=True,
        )
        values = []
        for place, pair in enumerate(pairs):
            teacher, student = self._matched(*pair)
            values.append(self.compare(teacher, student, place))
        return sum(values[1:], values[0])

    def compare(self, teacher: Any, student: Any, place: int = 0) -> Any:
        """Return the value of each example.

        Args:
            teacher: `(batch, positions, channels)`. Constant.
            student: The same batch and positions.
            place: Which of several layers it is, from 0.

        Returns:
            `(batch,)`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no `compare`.")

    def _matched(self, *maps: Any) -> list[Any]:
        """Return the maps in one size, `(batch, positions, channels)`."""
        first = self.data_format == "channels_first"
        maps = tuple(ops.moveaxis(x, 1, -1) if first else x for x in maps)
        sizes = [tuple(x.shape[1:-1]) for x in maps]
        if not sizes[0] or len(sizes[0]) != len(sizes[1]):
            raise ValueError(
                requirement(
                    self.name,
                    "teacher_layer",
                    "a layer of maps, with axes besides batch and channels, "
                    "as many as the student's",
                    [tuple(x.shape) for x in maps],
                )
            )
        if sizes[0] != sizes[1] and None not in sizes[0] + sizes[1]:
            smaller = tuple(map(min, *sizes))
            maps = tuple(resized(x, smaller, axis=1) for x in maps)
        return [_flat(x) for x in maps]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {"data_format": self.data_format}


def each_shape(shape: Any) -> list[Any]:
    """Return the shapes of one layer or several as a list."""
    return list(shape) if isinstance(shape[0], (list, tuple)) else [shape]


def resized(maps: Any, sizes: tuple[int | None, ...], axis: int) -> Any:
    """Bring maps to a size: each position becomes the mean of those it covers.

    To a smaller size it is adaptive average pooling; to a larger one,
    positions repeat or are averaged with their neighbours. Keras' own pooling
    cannot pool to a single position.

    Args:
        maps: Maps of any layout.
        sizes: The sizes wanted; axes where a size is unknown stay.
        axis: The first of the axes that have these sizes.
    """
    for place, wanted in enumerate(sizes, axis):
        size = maps.shape[place]
        if size is None or wanted is None or size == wanted:
            continue
        means = np.zeros((size, wanted))
        for at in range(wanted):
            start, end = at * size // wanted, -(-(at + 1) * size // wanted)
            means[start:end, at] = 1 / (end - start)
        turned = ops.moveaxis(maps, place, -1)
        turned = ops.matmul(turned, ops.cast(means, maps.dtype))
        maps = ops.moveaxis(turned, -1, place)
    return maps


def _flat(maps: Any) -> Any:
    *sizes, channels = maps.shape[1:]
    positions = -1 if None in sizes else math.prod(sizes)
    return ops.reshape(maps, (ops.shape(maps)[0], positions, channels))
