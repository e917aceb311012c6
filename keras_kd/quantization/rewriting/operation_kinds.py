"""Classifies the operations of a model by what int8 does with them."""

from typing import Any

import keras
import numpy as np
from keras import layers

from keras_kd.quantization.activations import FUSED
from keras_kd.quantization.activations import activation_of
from keras_kd.quantization.activations import function_name
from keras_kd.quantization.activations import supported
from keras_kd.quantization.layers.affine import AFFINE
from keras_kd.quantization.layers.kernels import KERNELS
from keras_kd.quantization.rewriting.flat import Call

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
# Layers that change images in training and leave them as they are otherwise.
_AUGMENTING = {
    f"Random{name}"
    for name in (
        "Brightness",
        "ColorDegeneration",
        "ColorJitter",
        "Contrast",
        "ElasticTransform",
        "Erasing",
        "Flip",
        "GaussianBlur",
        "Grayscale",
        "Hue",
        "Invert",
        "Perspective",
        "Posterization",
        "Rotation",
        "Saturation",
        "Sharpness",
        "Shear",
        "Translation",
        "Zoom",
    )
}
# Operators that can apply a ReLU to their results at no cost.
_WITH_RELU = {"Add", "Multiply", "Subtract"}
_SCALING = {"Add", "Divide", "Multiply", "Subtract", "TrueDivide"}


def kind_of(call: Call) -> str:
    """Classify an operation by one of its calls.

    Returns:
        `"kernel"`, `"affine"`, `"constant"` (arithmetic with one number, or
        one per channel), `"embedding"`, `"activation"`, `"arithmetic"`,
        `"keep"`, `"average"`, `"augment"`, or `"float"` for operations that
        int8 does not have.
    """
    operation = call.operation
    name = type(operation).__name__
    if name in _AUGMENTING and _is_keras(operation):
        return "augment"
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
    if name in _SCALING and _is_keras(operation) and scaling_of(call):
        return "constant"
    kind = _plain_kind(operation, name)
    # The converter rounds neither constants nor booleans.
    return "float" if kind == "arithmetic" and _takes_others(call) else kind


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


def scaling_of(call: Call) -> tuple[Any, Any] | None:
    """Return scale and offset of arithmetic such as `x / 127.5`.

    Args:
        call: Call of an addition, subtraction, multiplication or division.

    Returns:
        Two numbers or lists of one number per channel; `None` if both
        operands are tensors, or the constant has another shape.
    """
    name = type(call.operation).__name__
    values = [*call.args, *call.kwargs.values()]
    if len(values) != 2 or len(call.inputs) != 1:
        return None
    (tensor,) = call.inputs
    first = values[1] is tensor
    number = _per_channel(values[0 if first else 1], tensor)
    if number is None or (first and "Divide" in name):
        return None
    scale: Any = np.ones(())
    offset: Any = np.zeros(())
    if name == "Add":
        offset = number
    elif name == "Subtract":
        scale, offset = (-scale, number) if first else (scale, -number)
    else:
        scale = number if name == "Multiply" else 1 / number
    return scale.tolist(), offset.tolist()


def _per_channel(value: Any, tensor: Any) -> np.ndarray | None:
    """Return a constant as a number, or one for each of the last axis."""
    try:
        number = np.asarray(value, "float64")
    except (TypeError, ValueError):
        return None
    if number.size == 1:
        return number.reshape(())
    channels = tensor.shape[-1]
    fits = number.size == channels == number.shape[-1]
    return number.reshape(-1) if fits else None


def _takes_others(call: Call) -> bool:
    """Tell whether an operation takes anything but real tensors."""
    leaves = keras.tree.flatten((call.args, call.kwargs))
    return any(
        "float" not in str(leaf.dtype)
        if isinstance(leaf, keras.KerasTensor)
        else leaf is not None
        for leaf in leaves
    )


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
