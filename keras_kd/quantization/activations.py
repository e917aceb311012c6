"""Classifies activations by how the device computes them in int8."""

from typing import Any

from keras import layers

# Fused into the preceding operator, at no cost.
FUSED = {"linear", "relu", "relu6"}
# Separate operators with int8 inputs and outputs.
SINGLE = {"abs", "gelu", "hard_silu", "leaky_relu"}
# Operators whose int8 outputs have a range prescribed by the device.
ABOVE_0 = (0.0, 255 / 256)
FIXED = {
    "hard_sigmoid": (0.0, 1.0),
    "sigmoid": ABOVE_0,
    "softmax": ABOVE_0,
    "tanh": (-1.0, 127 / 128),
}
NOT_NEGATIVE = {
    "abs",
    "relu",
    "relu6",
    "sigmoid",
    "softmax",
    "hard_sigmoid",
}
_NAMES = {
    "Abs": "abs",
    "Absolute": "abs",
    "Gelu": "gelu",
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "LeakyReLU": "leaky_relu",
    "LeakyRelu": "leaky_relu",
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Silu": "silu",
    "Softmax": "softmax",
    "Tanh": "tanh",
}


def activation_of(operation: Any) -> str | None:
    """Return the name of the activation that an operation is, or `None`.

    Args:
        operation: Layer or operation of a Functional model.
    """
    if isinstance(operation, layers.Activation):
        return function_name(operation.activation)
    if isinstance(operation, layers.ReLU):
        return _relu(operation)
    if isinstance(operation, layers.Softmax):
        last = operation.axis in (-1, len(operation.output.shape) - 1)
        return "softmax" if last else "softmax of another axis"
    return _NAMES.get(type(operation).__name__)


def function_name(activation: Any) -> str:
    """Return the name of an activation function, "linear" for `None`."""
    if activation is None:
        return "linear"
    return getattr(activation, "__name__", type(activation).__name__)


def supported(name: str | None) -> bool:
    """Tell whether an activation exists in int8."""
    return name in FUSED | SINGLE | set(FIXED) | {"silu"}


def _relu(layer: layers.ReLU) -> str:
    """Return the name of what a `ReLU` layer computes."""
    slope, top = float(layer.negative_slope), layer.max_value
    if float(layer.threshold):
        return "relu with a threshold"
    if slope:
        return "leaky_relu" if top is None else "leaky_relu with a maximum"
    if top is None:
        return "relu"
    return "relu6" if float(top) == 6 else "relu with another maximum"
