"""What rounds the inputs of a layer, and what its results."""

from typing import Any

import keras
from keras import ops

from keras_kd.quantization.fake_quantize import FakeQuantize

# What may stand between a layer and the rounding of its results.
_FUSED_LAYERS = (
    keras.layers.Activation,
    keras.layers.Identity,
    keras.layers.ReLU,
)


class PlainInFile(keras.Layer):
    """Mixin for a layer that the converter has to see as Keras has it."""

    is_plain = False

    def fix(self) -> None:
        """Compute as Keras does until `release`."""
        self.is_plain = True

    def release(self) -> None:
        """Undo `fix`."""
        self.is_plain = False


class RoundsAsFile(PlainInFile):
    """Mixin for a layer that rounds, in inference, as the file's kernel does.

    It computes as Keras does in training, and where a grid that its inputs or
    its results are on is not known.
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Compute, in inference from whole numbers.

        Args:
            inputs: Values on grids.
            training: Whether the student is trained.
        """
        results = super().call(inputs)
        grids = known_grids(self)
        if training or self.is_plain or grids is None:
            return results
        before, after = grids
        found = self.in_steps(inputs, before, after)
        for grid in (*before, after):
            found = ops.where(grid.steps > 0, found, results)
        return found

    def in_steps(
        self, inputs: Any, before: list[FakeQuantize], after: FakeQuantize
    ) -> Any:
        """Compute from whole numbers.

        Args:
            inputs: Values on grids.
            before: What rounded them, one an input.
            after: What rounds the results.
        """
        raise NotImplementedError


def known_grids(
    layer: keras.Layer,
) -> tuple[list[FakeQuantize], FakeQuantize] | None:
    """Return what rounds a layer's inputs and results, if all is known.

    Args:
        layer: Layer of a Functional model.
    """
    before, after = input_quantizers(layer), output_quantizer(layer)
    known = [grid for grid in before if grid is not None]
    if after is None or len(known) < len(before):
        return None
    return known, after


def input_quantizers(layer: keras.Layer) -> list[FakeQuantize | None]:
    """Return what rounded each input of a layer, `None` where unknown.

    Args:
        layer: Layer of a Functional model; of several calls nothing is
            known.
    """
    if len(layer._inbound_nodes) != 1:
        return [None]
    return [_quantizer(t) for t in layer._inbound_nodes[0].input_tensors]


def _quantizer(tensor: Any) -> FakeQuantize | None:
    """Return what rounded a tensor, if it is in the same model."""
    operation = tensor._keras_history.operation
    if isinstance(operation, FakeQuantize):
        return operation
    if isinstance(operation, (keras.layers.InputLayer, keras.Function)):
        return None
    if len(operation._inbound_nodes) != 1:
        return None
    tensors = operation._inbound_nodes[0].input_tensors
    # All inputs of a concatenation are on one grid.
    if len(tensors) == 1 or type(operation).__name__ == "Concatenate":
        return _quantizer(tensors[0])
    return None


def output_quantizer(layer: keras.Layer) -> FakeQuantize | None:
    """Return what rounds a layer's results, after a ReLU or without.

    Args:
        layer: Layer of a Functional model.
    """
    if len(layer._inbound_nodes) != 1:
        return None
    for node in layer._outbound_nodes:
        if isinstance(node.operation, FakeQuantize):
            return node.operation
        if type(node.operation) in _FUSED_LAYERS:
            return output_quantizer(node.operation)
    return None
