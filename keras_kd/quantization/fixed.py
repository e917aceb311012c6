"""Inspects a quantize-aware student and fixes its ranges for an export."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from keras_kd.core.checks import requirement
from keras_kd.core.keras_internals import flatten_layers
from keras_kd.core.keras_internals import maker
from keras_kd.core.keras_internals import own_trainable_variables
from keras_kd.quantization.layers.affine import Affine
from keras_kd.quantization.layers.fake_quantize import FakeQuantize
from keras_kd.quantization.layers.kernels import QuantizedEmbedding
from keras_kd.quantization.layers.weighted import QuantizedKernel
from keras_kd.quantization.layers.weightless import PlainInFile
from keras_kd.quantization.rewriting.ends import FloatEnd

_WITH_CONSTANTS = (
    Affine,
    FakeQuantize,
    PlainInFile,
    QuantizedEmbedding,
    QuantizedKernel,
)


def is_quantize_aware(student: keras.Model) -> bool:
    """Tell whether a model was made by `quantize_aware`.

    Args:
        student: Any Keras model.

    Example:
    >>> import keras_kd
    >>> student = keras_kd.students.mlp((4,), 3)
    >>> aware = keras_kd.quantization.quantize_aware(student)
    >>> [keras_kd.quantization.is_quantize_aware(m) for m in (student, aware)]
    [False, True]
    """
    return any(
        isinstance(layer, FakeQuantize) for layer in flatten_layers(student)
    )


def simulated_runtime(student: keras.Model) -> str | None:
    """Return the runtime whose rounding a model simulates.

    Args:
        student: Any Keras model.

    Returns:
        The argument `runtime` of `quantize_aware`; `None` for a model that
        was not made by it.

    Example:
    >>> import keras_kd
    >>> student = keras_kd.students.mlp((4,), 3)
    >>> aware = keras_kd.quantization.quantize_aware(student, runtime="tflm")
    >>> keras_kd.quantization.simulated_runtime(aware)
    'tflm'
    """
    found = (
        layer.runtime
        for layer in flatten_layers(student)
        if isinstance(layer, FakeQuantize)
    )
    return next(found, None)


def has_float_ends(student: keras.Model) -> bool:
    """Tell whether a quantize-aware model takes or gives float32.

    It does with `first_last="float"`, and if a layer that int8 does not have
    takes an input.

    Args:
        student: Any Keras model.

    Example:
    >>> import keras_kd
    >>> student = keras_kd.students.convnet((8, 8, 1), 3, width=0.25)
    >>> aware = keras_kd.quantization.quantize_aware(
    ...     student, first_last="float"
    ... )
    >>> [keras_kd.quantization.has_float_ends(m) for m in (student, aware)]
    [False, True]
    """
    return any(isinstance(layer, FloatEnd) for layer in flatten_layers(student))


def has_float_outputs(student: keras.Model) -> bool:
    """Tell whether a quantize-aware model's outputs are in float32.

    With `first_last="float"` they are. A layer that int8 does not have, behind
    the input, only leaves the inputs in float32.

    Args:
        student: Any Keras model.

    Example:
    >>> import keras_kd
    >>> student = keras_kd.students.mlp((4,), 3)
    >>> aware = keras_kd.quantization.quantize_aware(student)
    >>> keras_kd.quantization.has_float_outputs(aware)
    False
    """
    outputs = getattr(student, "outputs", None) or []
    return any(isinstance(maker(tensor), FloatEnd) for tensor in outputs)


def num_float_weights(student: keras.Model) -> int:
    """Count the weights of layers that stay in float32, without biases.

    Args:
        student: A model made by `quantize_aware`.

    Example:
    >>> import keras_kd
    >>> student = keras_kd.students.mlp((4,), 3, hidden=(6, 5))
    >>> aware = keras_kd.quantization.quantize_aware(
    ...     student, first_last="float"
    ... )
    >>> keras_kd.quantization.num_float_weights(aware)  # 4 * 6 + 5 * 3
    39
    """
    return sum(
        math.prod(weight.shape)
        for layer in flatten_layers(student, include_self=False)
        if not isinstance(layer, (keras.Model, *_WITH_CONSTANTS))
        for weight in own_trainable_variables(layer)
        if len(weight.shape) > 1
    )


@contextmanager
def fixed_ranges(student: keras.Model) -> Iterator[None]:
    """Make every layer compute with constants until the context exits.

    The LiteRT converter reads the int8 ranges from the fake quantization in
    the graph. These ranges, and the folded kernels, have to be constants.

    Args:
        student: A trained quantize-aware model, unchanged afterwards. Other
            models are left alone.

    Raises:
        ValueError: If a range of the student has seen no data.

    Example:
    >>> import numpy as np, keras_kd
    >>> student = keras_kd.students.mlp((4,), 3)
    >>> aware = keras_kd.quantization.quantize_aware(student)
    >>> before = aware(np.ones((2, 4)), training=True)
    >>> with keras_kd.quantization.fixed_ranges(aware):
    ...     fixed = aware(np.ones((2, 4)))
    >>> print(float(abs(fixed - aware(np.ones((2, 4)))).numpy().max()) < 0.1)
    True
    """
    fixed: list[Any] = []
    layers = list(flatten_layers(student))
    ranges = [layer for layer in layers if isinstance(layer, FakeQuantize)]
    unseen = [layer.name for layer in ranges if not int(layer.steps)]
    if unseen:
        raise ValueError(
            requirement(
                "quantize_aware",
                "student",
                "trained for at least one step before it is exported",
                student,
                f"{len(unseen)} of its {len(ranges)} ranges have seen no data "
                f"(`{unseen[0]}`): call `fit`, without frozen layers.",
            )
        )
    try:
        for layer in layers:
            if isinstance(layer, _WITH_CONSTANTS):
                fixed.append(layer)
                layer.fix()
        yield
    finally:
        for layer in fixed:
            layer.release()
