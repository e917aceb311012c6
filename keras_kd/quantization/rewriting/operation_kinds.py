"""What the device makes of each operation of a model, in int8."""

from typing import Any

import keras
from keras import layers

from keras_kd.quantization.activations import FUSED
from keras_kd.quantization.activations import activation_of
from keras_kd.quantization.activations import function_name
from keras_kd.quantization.activations import supported
from keras_kd.quantization.layers.affine import AFFINE
from keras_kd.quantization.layers.kernels import KERNELS

# Their results need a range of their own.
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
# They move, drop or pick values: what was on a grid stays on it.
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
# They average values; the device rounds the result to the same grid.
_AVERAGING = {"AveragePooling1D", "AveragePooling2D"}
# Operators that compute a ReLU after themselves at no cost.
_WITH_RELU = {"Add", "Multiply", "Subtract"}
_SCALING = {"Add", "Multiply", "Subtract"}


def kind_of(operation: Any, arguments: Any) -> str:
    """Classify an operation.

    Args:
        operation: Layer or operation of a Functional model.
        arguments: What one of its calls takes, `node.arguments`.

    Returns:
        `"kernel"`, `"affine"`, `"constant"` (arithmetic with one number),
        `"embedding"`, `"activation"`, `"arithmetic"`, `"keep"`, `"average"`,
        `"nested"`, or `"float"` for what int8 does not have.
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
    """Classify what has neither weights nor constants."""
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
    """Tell whether a ReLU that follows costs nothing and rounds nothing."""
    if kind == "kernel":
        return function_name(operation.activation) == "linear"
    if kind == "arithmetic":
        return type(operation).__name__ in _WITH_RELU
    return kind in ("affine", "constant")


def is_fused(operation: Any, kind: str) -> bool:
    """Tell whether an operation is an activation that others take in."""
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
    """Return the layer that does for `x + 3.0` what the operation does.

    Args:
        operation: An addition, subtraction or multiplication.
        arguments: What it takes, one of them a number.
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
    """Tell whether an affine layer has one factor a last axis' entry."""
    if isinstance(operation, layers.BatchNormalization):
        return operation.axis in (-1, len(operation.output.shape) - 1)
    if isinstance(operation, layers.Normalization):
        last = len(operation.output.shape) - 1
        return tuple(operation.axis) in ((-1,), (last,), ())
    return True


def _is_keras(operation: Any) -> bool:
    """Tell Keras' own operation from a class of the same name."""
    return type(operation).__module__.partition(".")[0] == "keras"
