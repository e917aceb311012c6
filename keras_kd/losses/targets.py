"""Converts the labels of any data set to a normal form.

Normal labels are class numbers, int32 `(batch, ...)`, or distributions over
the classes, float32 `(batch, ..., classes)`. An example or position without a
label has -1 as its class number, or a row of -1.
"""

from typing import Any

import keras
from keras import ops


def normal_labels(y: Any, outputs: Any, ignored: int | None = None) -> Any:
    """Convert the labels of one output to the normal form.

    Args:
        y: Labels as the data set yields them: class numbers of any dtype,
            with or without a last axis of size 1; one-hot rows or
            probabilities; for two classes also the probability of the
            second. -1 and NaN mean no label. `None` if the data has no
            labels.
        outputs: The output's logits `(batch, ..., classes)`, or its single
            unit `(batch, ..., 1)` for two classes. Only the shape is read.
        ignored: A class number that means no label, or `None`.

    Returns:
        Class numbers, distributions, or `None`. Labels that are neither,
        such as the targets of a regression, are returned unchanged.

    Example:
    >>> import numpy as np
    >>> from keras_kd.losses.targets import normal_labels
    >>> logits = np.zeros((3, 5))
    >>> normal_labels(np.array([[4.0], [np.nan], [0.0]]), logits).numpy()
    array([ 4, -1,  0], dtype=int32)
    """
    if y is None:
        return None
    if not isinstance(y, keras.KerasTensor):
        y = ops.convert_to_tensor(y)
    rank, units = len(outputs.shape), outputs.shape[-1]
    classes = max(units, 2)
    if len(y.shape) == rank and y.shape[-1] == classes:
        return _distributions(y)
    if len(y.shape) == rank and y.shape[-1] == 1:
        y = ops.squeeze(y, -1)
    if len(y.shape) != rank - 1:
        return y
    if _is_float(y) and classes == 2:
        absent = _absent(y)
        filled = ops.where(absent, ops.zeros_like(y), y)
        pair = ops.stack([1 - filled, filled], axis=-1)
        marked = ops.where(ops.expand_dims(absent, -1), -1.0, pair)
        return ops.cast(marked, "float32")
    absent = _absent(y)
    if ignored is not None:
        absent = ops.logical_or(
            absent, ops.equal(y, ops.cast(ignored, y.dtype))
        )
    return ops.where(absent, -1, ops.cast(y, "int32"))


def has_label(labels: Any) -> Any:
    """Tell which examples and positions have a label.

    Args:
        labels: Class numbers or distributions.

    Returns:
        Booleans `(batch, ...)`.

    Example:
    >>> import numpy as np
    >>> from keras_kd.losses.targets import has_label
    >>> has_label(np.array([2, -1], "int32")).tolist()
    [True, False]
    """
    return ops.all(labels >= 0, axis=-1) if _is_float(labels) else labels >= 0


def class_mask(labels: Any, num_classes: int) -> Any:
    """Mark the class of each label; for a distribution, the likeliest.

    Args:
        labels: Class numbers or distributions.
        num_classes: Number of classes.

    Returns:
        Booleans `(batch, ..., num_classes)`; all False without a label.

    Example:
    >>> import numpy as np
    >>> from keras_kd.losses.targets import class_mask
    >>> class_mask(np.array([1, -1], "int32"), 3).numpy().tolist()
    [[False, True, False], [False, False, False]]
    """
    known = has_label(labels)
    if _is_float(labels):
        labels = ops.argmax(labels, axis=-1)
    numbers = ops.arange(num_classes, dtype="int32")
    named = ops.equal(ops.expand_dims(ops.cast(labels, "int32"), -1), numbers)
    return ops.logical_and(named, ops.expand_dims(known, -1))


def _distributions(y: Any) -> Any:
    y = ops.cast(y, "float32")
    absent = ops.any(_absent(y), axis=-1, keepdims=True)
    return ops.where(absent, -1.0, y)


def _absent(y: Any) -> Any:
    negative = ops.less(y, ops.zeros_like(y))
    return ops.logical_or(negative, ops.isnan(y)) if _is_float(y) else negative


def _is_float(tensor: Any) -> bool:
    return "float" in keras.backend.standardize_dtype(tensor.dtype)
