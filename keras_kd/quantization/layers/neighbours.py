"""Finds the layers that round the inputs and the results of a layer's call."""

from typing import Any

import keras

from keras_kd.core.keras_internals import calls_of
from keras_kd.core.keras_internals import consumers
from keras_kd.core.keras_internals import origin
from keras_kd.quantization.layers.fake_quantize import FakeQuantize

# Layers allowed between a layer and the rounding of its results.
_FUSED_LAYERS = (
    keras.layers.Activation,
    keras.layers.Identity,
    keras.layers.ReLU,
)


def known_grids(
    layer: keras.Layer, number: int = 0
) -> tuple[list[FakeQuantize], FakeQuantize] | None:
    """Return the layers that round a layer's inputs and its results.

    Args:
        layer: Layer of a Functional model.
        number: Which of its calls, see `call_number`.

    Returns:
        One layer for each input, and one for the results; None if any of
        them is unknown.
    """
    node = _node(layer, number)
    if node is None:
        return None
    before = input_quantizers(layer, number)
    after = _output_quantizer(node)
    known = [grid for grid in before if grid is not None]
    if after is None or len(known) < len(before):
        return None
    return known, after


def input_quantizers(
    layer: keras.Layer, number: int = 0
) -> list[FakeQuantize | None]:
    """Return the layer that rounded each input, `None` where unknown.

    Args:
        layer: Layer of a Functional model.
        number: Which of its calls, see `call_number`.
    """
    node = _node(layer, number)
    return [None] if node is None else [*map(_quantizer, node.input_tensors)]


def call_number(layer: keras.Layer) -> dict[str, int]:
    """Return the argument `number` for the next call of a layer.

    A layer that is called several times needs to know in which of its calls it
    is, because each has grids of its own. Numbers stay with a call when a model
    is saved or cloned; its place among the calls does not.

    Args:
        layer: Layer whose `call` takes `number`.
    """
    made = len(calls_of(layer))
    return {"number": made} if made else {}


def _node(layer: Any, number: int) -> Any:
    """Return the node of a call, `None` if it is unknown."""
    nodes = [
        node
        for node in calls_of(layer)
        if node.arguments.kwargs.get("number", 0) == number
    ]
    return nodes[0] if len(nodes) == 1 else None


def _quantizer(tensor: Any) -> FakeQuantize | None:
    """Return the layer that rounded a tensor, if it is in the same model."""
    operation, place, _ = origin(tensor)
    if isinstance(operation, FakeQuantize):
        return operation
    if isinstance(operation, (keras.layers.InputLayer, keras.Function)):
        return None
    tensors = calls_of(operation)[place].input_tensors
    # All inputs of a concatenation are on one grid.
    if len(tensors) == 1 or type(operation).__name__ == "Concatenate":
        return _quantizer(tensors[0])
    return None


def _output_quantizer(node: Any) -> FakeQuantize | None:
    """Return the layer that rounds a call's results, maybe after a ReLU."""
    made = {id(tensor) for tensor in node.output_tensors}
    for after in consumers(node.operation):
        if made.isdisjoint(map(id, after.input_tensors)):
            continue
        if isinstance(after.operation, FakeQuantize):
            return after.operation
        if type(after.operation) in _FUSED_LAYERS:
            return _output_quantizer(after)
    return None
