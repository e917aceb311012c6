"""Classifies the operations of a model by what int8 does with them."""

from typing import Any

import keras
from keras import layers

from keras_kd.quantization.activations import FUSED
from keras_kd.quantization.activations import activation_of
from keras_kd.quantization.activations import function_name
from keras_kd.quantization.activations import supported
from keras_kd.quantization.layers.affine import AFFINE
from keras_kd.quantization.layers.kernels import KERNELS

# Operations whose results need a range of their own.
_ARITHMETIC = {
    "Add",
    "Concatenate",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "Matmul",
    "Maximum",
    "Mean",
    "Minimum",
    "Multiply",
    "Subtract",
}
# Operations that move, drop or pick values, which stay on their grid.
_KEEPING = {
    "ActivityRegularization",
    "AlphaDropout",
    "Cropping1D",
    "Cropping2D",
    "Dropout",
    "ExpandDims",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GetItem",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "Identity",
    "Max",
    "MaxPooling1D",
    "MaxPooling2D",
    "Pad",
    "Permute",
    "RepeatVector",
    "Reshape",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "Split",
    "Squeeze",
    "Transpose",
    "UpSampling1D",
    "ZeroPadding1D",
    "ZeroPadding2D",
}
# Operations that average values; the device rounds to the same grid.
_AVERAGING = {"AveragePooling1D", "AveragePooling2D"}
# Operators that can apply a ReLU to their results at no cost.
_WITH_RELU = {"Add", "Multiply", "Subtract"}
_SCALING = {"Add", "Multiply", "Subtract"}


def kind_of(operation: Any, arguments: Any) -> str:
    """Classify an operation.

    Args:
        operation: Layer or operation of a Functional model.
        arguments: Arguments of one of its calls, `node.arguments`.

    Returns:
        `"kernel"`, `"affine"`, `"constant"` (arithmetic with one number),
        `"embedding"`, `"activation"`, `"arithmetic"`, `"keep"`, `"average"`,
        `"nested"`, or `"float"` for operations that int8 does not have.
    """
    name = type(operation).__name__
    if isinstance(operation, (keras.Function, keras.Sequential)):
        return "nested"
    if getattr(operation, "data_format", None) == "channels_first":
        return "float"
    if type(operation) in KERNELS:
        known = supported(function_name(operation.activation))
        return "kernel" if known else "float"
    if type(operation) in AFFINE:
        return "affine" if _over_channels(operation) else "float"
    if type(operation) is layers.Embedding:
        return "embedding"
    if activation_of(operation) is not None:
        known = supported(activation_of(operation))
        return "activation" if known else "float"
    if name in _SCALING and constant_of(arguments) is not None:
        return "constant"
    return _plain_kind(operation, name)


def _plain_kind(operation: Any, name: str) -> str:
    """Classify an operation without weights and constants."""
    if name == "UpSampling2D":
        kinds = {"nearest": "keep", "bilinear": "average"}
        return kinds.get(operation.interpolation, "float")
    for names, kind in (
        (_ARITHMETIC, "arithmetic"),
        (_KEEPING, "keep"),
        (_AVERAGING, "average"),
    ):
        if name in names and _is_keras(operation):
            return kind
    return "float"


def takes_relu(operation: Any, kind: str) -> bool:
    """Tell whether a following ReLU can be fused into an operation."""
    if kind == "kernel":
        return function_name(operation.activation) == "linear"
    if kind == "arithmetic":
        return type(operation).__name__ in _WITH_RELU
    return kind in ("affine", "constant")


def is_fused(operation: Any, kind: str) -> bool:
    """Tell whether an operation is an activation that can be fused."""
    return kind == "activation" and activation_of(operation) in FUSED


def constant_of(arguments: Any) -> tuple[float, bool] | None:
    """Return the number in `x + 3.0` and whether it comes first, if any."""
    pair = list(arguments.args)
    if len(pair) != 2:
        return None
    numbers = [isinstance(value, (int, float)) for value in pair]
    if sum(numbers) != 1:
        return None
    return float(pair[numbers.index(True)]), numbers[0]


def rescaling_of(operation: Any, arguments: Any) -> Any:
    """Return a `Rescaling` that replaces an operation such as `x + 3.0`.

    Args:
        operation: An addition, subtraction or multiplication.
        arguments: Its two arguments, one of them a number.
    """
    number, first = constant_of(arguments) or (0.0, False)
    scale, offset = {
        "Add": (1.0, number),
        "Multiply": (number, 0.0),
        "Subtract": (-1.0, number) if first else (1.0, -number),
    }[type(operation).__name__]
    made = AFFINE[layers.Rescaling]
    return made(scale, offset, name=operation.name)


def _over_channels(operation: Any) -> bool:
    """Tell whether an affine layer has one factor per channel (last axis)."""
    if isinstance(operation, layers.BatchNormalization):
        return operation.axis in (-1, len(operation.output.shape) - 1)
    if isinstance(operation, layers.Normalization):
        last = len(operation.output.shape) - 1
        return tuple(operation.axis) in ((-1,), (last,), ())
    return True


def _is_keras(operation: Any) -> bool:
    """Tell whether an operation is Keras' own, not a namesake."""
    return type(operation).__module__.partition(".")[0] == "keras"
