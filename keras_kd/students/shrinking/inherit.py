"""Initializes a student's weights from its teacher's."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_kd.core.checks import requirement
from keras_kd.students.shrinking import composite
from keras_kd.students.shrinking.layer_kinds import channel_axis
from keras_kd.students.shrinking.layer_kinds import follows_input
from keras_kd.students.shrinking.layer_kinds import halves
from keras_kd.students.shrinking.layer_kinds import inner
from keras_kd.students.shrinking.layer_kinds import is_depthwise
from keras_kd.students.shrinking.layer_kinds import made_width
from keras_kd.students.shrinking.layer_kinds import width_key
from keras_kd.students.shrinking.widths import Widths

Index = np.ndarray | None

_TRANSPOSED = (
    layers.Conv1DTranspose,
    layers.Conv2DTranspose,
    layers.Conv3DTranspose,
)

# The two layers inside a Bidirectional layer.
_DIRECTIONS = ("forward_layer", "backward_layer")


def importance(operation: Any) -> np.ndarray:
    """Return the L1 norm of the kernel of each channel that a layer makes.

    Reference: Li et al. 2017 (arXiv 1608.08710), section 3.1.

    >>> layer = keras.layers.Dense(2, kernel_initializer="ones")
    >>> layer.build((None, 3))
    >>> importance(layer)
    array([3., 3.])
    """
    if composite.is_composite(operation):
        return composite.importance(operation)
    operation = inner(operation)
    if isinstance(operation, layers.Bidirectional):
        found = np.array(
            [importance(getattr(operation, name)) for name in _DIRECTIONS]
        )
        return found.ravel() if halves(operation) > 1 else found.sum(axis=0)
    values = {
        weight.name: _array(weight)
        for weight in operation.weights
        if weight.name in {"embeddings", "kernel", "pointwise_kernel"}
    }
    (kernel,) = values.values()
    axis = -2 if isinstance(operation, _TRANSPOSED) else -1
    kernel = np.abs(np.moveaxis(kernel.astype("float64"), axis, -1))
    units = made_width(operation) or 0
    # A recurrent kernel concatenates its gates: sum over them.
    return kernel.reshape(-1, units).sum(axis=0)


def inherit(operation: Any, clone: Any, widths: Widths) -> None:
    """Copy the kept part of a layer's weights.

    Args:
        operation: The teacher's layer.
        clone: The student's layer.
        widths: The channels that stay.

    Raises:
        ValueError: If it is unknown which channels the layer reads.
    """
    read, made = widths.read(id(operation)), widths.made(id(operation))
    if _reads_as_many(operation, clone):
        read = None  # All are kept, for example by a rule of the caller.
    if composite.is_composite(operation):
        if read is None and not _reads_as_many(operation, clone):
            raise _unfollowed(operation, widths)
        clone.set_weights(composite.parts(operation, clone, read, made))
        return
    for old, new, places in _directions(operation, clone, made):
        if not _copied(old, new, read, places):
            raise _unfollowed(operation, widths)


def _directions(
    operation: Any, clone: Any, made: Index
) -> Iterator[tuple[Any, Any, Index]]:
    """Yield a layer, its clone and the kept channels that the layer makes.

    A Bidirectional layer yields its two layers instead, a TimeDistributed
    layer the one inside.
    """
    operation, clone = inner(operation), inner(clone)
    if not isinstance(operation, layers.Bidirectional):
        yield operation, clone, made
        return
    units = made_width(operation.forward_layer) or 0
    for number, name in enumerate(_DIRECTIONS):
        places = made
        # Unless concatenated, both directions make the same channels.
        if made is not None and halves(operation) > 1:
            places = made[made // units == number] % units
        yield getattr(operation, name), getattr(clone, name), places


def _copied(operation: Any, clone: Any, read: Index, made: Index) -> bool:
    """Copy weights; return False if the kept part has the wrong shape.

    That happens if it is unknown which channels the layer reads.
    """
    values = []
    for old, new in zip(operation.weights, clone.weights, strict=True):
        if "seed" in old.name:
            values.append(_array(new))
            continue
        value = _array(old)
        if value.shape != tuple(new.shape):
            value = _part(operation, old.name, value, read, made)
        if value.shape != tuple(new.shape):
            return False
        values.append(value)
    clone.set_weights(values)
    return True


def _unfollowed(operation: Any, widths: Widths) -> ValueError:
    return ValueError(
        requirement(
            "students.shrink",
            "initialize",
            "None for a teacher whose channels cannot be followed to its "
            f"layer `{operation.name}`",
            "teacher",
            f"They are lost at {', '.join(widths.lost[:3])}.",
        )
    )


def _reads_as_many(operation: Any, clone: Any) -> bool:
    """Tell whether both layers have an input with as many channels."""
    old, new = (
        composite.ends(layer)[0].shape[1:] for layer in (operation, clone)
    )
    axis = channel_axis(operation)
    return len(old) > 0 and old[axis] == new[axis]


def _part(
    operation: Any, name: str, value: np.ndarray, read: Index, made: Index
) -> np.ndarray:
    """Return the kept part of one weight."""
    if follows_input(operation):
        return _follower_part(operation, name, value, read)
    if is_depthwise(operation):
        times = operation.filters // operation.groups
        return _take(value, _spread(read, times), -1)
    if name == "depthwise_kernel":  # of a separable convolution
        return _take(value, read, -2)
    if name == "pointwise_kernel":
        read = _spread(read, operation.depth_multiplier)
    if name == "kernel" and getattr(operation, "groups", 1) > 1:
        return _grouped_part(value, operation.groups, read, made)
    if name == "kernel" and isinstance(operation, _TRANSPOSED):
        return _take(_take(value, read, -1), made, -2)
    if name == "reverse_embeddings":
        return _take(value, made, 0)
    if "kernel" in name:
        source = made if name == "recurrent_kernel" else read
        value = _take(value, source, -2)
    return _take(value, _gated(operation, value, made), -1)


def _gated(operation: Any, value: np.ndarray, made: Index) -> Index:
    """Repeat the positions for every gate of a recurrent layer."""
    key = width_key(operation)
    if made is None or key is None or key == "output_dim":
        return made
    units = getattr(operation, key)
    starts = np.arange(0, value.shape[-1], units)
    return (starts[:, None] + made).ravel()


def _follower_part(
    operation: Any, name: str, value: np.ndarray, read: Index
) -> np.ndarray:
    if not hasattr(operation, "depth_multiplier"):
        return _take(value, read, -1)
    if name == "bias":
        return _take(value, _spread(read, operation.depth_multiplier), -1)
    return _take(value, read, -2)


def _grouped_part(
    kernel: np.ndarray, groups: int, read: Index, made: Index
) -> np.ndarray:
    """Return the kept part of a grouped kernel, group by group."""
    inputs, outputs = kernel.shape[-2], kernel.shape[-1] // groups
    read = np.arange(inputs * groups) if read is None else read
    made = np.arange(outputs * groups) if made is None else made
    parts = []
    for group in range(groups):
        mine = read[read // inputs == group] % inputs
        part = _take(kernel, mine, -2)
        parts.append(_take(part, made[made // outputs == group], -1))
    if len({part.shape for part in parts}) > 1:
        return kernel
    return np.concatenate(parts, axis=-1)


def _spread(index: Index, times: int) -> Index:
    """Return the positions after each channel became `times` channels."""
    if index is None:
        return None
    return (index[:, None] * times + np.arange(times)).ravel()


def _take(value: np.ndarray, index: Index, axis: int) -> np.ndarray:
    return value if index is None else value.take(index, axis)


def _array(weight: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(weight)
