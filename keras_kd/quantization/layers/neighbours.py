"""Finds the layers that round the inputs and the results of a layer."""

from typing import Any

import keras

from keras_kd.core.keras_internals import calls_of
from keras_kd.core.keras_internals import consumers
from keras_kd.core.keras_internals import maker
from keras_kd.quantization.layers.fake_quantize import FakeQuantize

# Layers allowed between a layer and the rounding of its results.
_FUSED_LAYERS = (
    keras.layers.Activation,
    keras.layers.Identity,
    keras.layers.ReLU,
)


def known_grids(
    layer: keras.Layer,
) -> tuple[list[FakeQuantize], FakeQuantize] | None:
    """Return the layers that round a layer's inputs and its results.

    Args:
        layer: Layer of a Functional model.

    Returns:
        One layer for each input, and one for the results; None if any of
        them is unknown.
    """
    before, after = input_quantizers(layer), output_quantizer(layer)
    known = [grid for grid in before if grid is not None]
    if after is None or len(known) < len(before):
        return None
    return known, after


def input_quantizers(layer: keras.Layer) -> list[FakeQuantize | None]:
    """Return the layer that rounded each input, `None` where unknown.

    Args:
        layer: Layer of a Functional model. If it is called several times,
            the answer is `[None]`.
    """
    if len(calls_of(layer)) != 1:
        return [None]
    return [_quantizer(t) for t in calls_of(layer)[0].input_tensors]


def _quantizer(tensor: Any) -> FakeQuantize | None:
    """Return the layer that rounded a tensor, if it is in the same model."""
    operation = maker(tensor)
    if isinstance(operation, FakeQuantize):
        return operation
    if isinstance(operation, (keras.layers.InputLayer, keras.Function)):
        return None
    if len(calls_of(operation)) != 1:
        return None
    tensors = calls_of(operation)[0].input_tensors
    # All inputs of a concatenation are on one grid.
    if len(tensors) == 1 or type(operation).__name__ == "Concatenate":
        return _quantizer(tensors[0])
    return None


def output_quantizer(layer: keras.Layer) -> FakeQuantize | None:
    """Return the layer that rounds a layer's results, maybe after a ReLU.

    Args:
        layer: Layer of a Functional model.
    """
    if len(calls_of(layer)) != 1:
        return None
    for node in consumers(layer):
        if isinstance(node.operation, FakeQuantize):
            return node.operation
        if type(node.operation) in _FUSED_LAYERS:
            return output_quantizer(node.operation)
    return None
