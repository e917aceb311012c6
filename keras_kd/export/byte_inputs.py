"""The scale and zero point with which bytes enter an int8 student."""

from collections.abc import Iterable
from typing import Any
from typing import NamedTuple

import keras
import numpy as np

# Layers that compute each value from the value at its place alone, as
# `scale * x + offset`.
_AFFINE = (
    keras.layers.Identity,
    keras.layers.InputLayer,
    keras.layers.Normalization,
    keras.layers.Rescaling,
)


class ByteGrid(NamedTuple):
    """The bytes `x` that stand for `scale * (x - zero_point)`.

    Attributes:
        scale: Distance between two bytes, above 0.
        zero_point: The byte that stands for 0.
        shift: By how much of a byte the values are off, at most 0.5. The
            bytes from -1 to 1 have none for 0: 127.5 stands for it.
    """

    scale: float
    zero_point: int
    shift: float


def byte_grid(
    front: Iterable[Any], shape: tuple[int | None, ...]
) -> ByteGrid | None:
    """Return the grid on which a byte stands for what a student takes.

    The layers in front of the student turn a byte `x` into
    `scale * x + offset`, and an integer tensor stands for
    `scale * (x - zero_point)`. So with this grid the file's input needs no
    layers.

    Args:
        front: The layers in front of the student, possibly none.
        shape: Shape of the bytes, with the batch.

    Returns:
        The grid; `None` if the layers are more than one scale and one
        offset, or if no byte is close to 0.
    """
    layers = [layer for layer in front if isinstance(layer, keras.Layer)]
    if not all(map(_is_affine, layers)):
        return None
    low, high = (_applied(layers, shape, value) for value in (0.0, 255.0))
    scale, offset = float((high - low).mean() / 255), float(low.mean())
    # Half a byte, where the layers differ most from one scale and offset.
    even = max(np.ptp(low), np.ptp(high)) <= abs(scale) / 2
    if not even or not scale > 0:
        return None
    # As in the ranges of quantize-aware students, halves move up.
    zero_point = int(np.floor(0.5 - offset / scale))
    if not 0 <= zero_point <= 255:
        return None
    return ByteGrid(scale, zero_point, abs(zero_point + offset / scale))


def _is_affine(layer: keras.Layer) -> bool:
    if isinstance(layer, keras.Sequential):
        return all(map(_is_affine, layer.layers))
    return type(layer) in _AFFINE


def _applied(
    layers: list[keras.Layer], shape: tuple[int | None, ...], value: float
) -> np.ndarray:
    """Apply layers to one example of equal values."""
    x: Any = np.full([size or 1 for size in shape], value, "float32")
    for layer in layers:
        if not isinstance(layer, keras.layers.InputLayer):
            x = layer(x)
    return np.asarray(keras.ops.convert_to_numpy(x), "float64")
