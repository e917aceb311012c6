"""Infers from a model's layers whether it returns logits or probabilities.

The kind of an output is inferred from the layers that computed it, never from
its values, which cannot tell a logit of 0.3 from a probability of 0.3.
"""

from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from keras_kd.core.wires import Passage

KINDS = ("logits", "probabilities", "binary_logits", "binary_probabilities")

# Layers that keep the kind of their input: they only move, drop or average
# values.
_KEEPING = (
    keras.layers.Average,
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.Identity,
    keras.layers.Permute,
    keras.layers.Reshape,
    keras.layers.UpSampling2D,
)
# Layers whose outputs are unbounded if their inputs are.
_AFFINE = (
    keras.layers.Add,
    keras.layers.BatchNormalization,
    keras.layers.Concatenate,
    keras.layers.LayerNormalization,
    keras.layers.Subtract,
)
# Layers that end in `self.activation(...)`.
_ACTIVATED = (
    keras.layers.Activation,
    keras.layers.Conv1D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3D,
    keras.layers.Conv3DTranspose,
    keras.layers.Dense,
    keras.layers.DepthwiseConv2D,
    keras.layers.EinsumDense,
    keras.layers.SeparableConv2D,
)
_PROBABILITIES = {
    "softmax": "probabilities",
    "sigmoid": "binary_probabilities",
}


class Head(NamedTuple):
    """The kind of one output of a model, and where to read its logits.

    Attributes:
        kind: One of `KINDS`, or `None` if the layers do not tell.
        source: The `(layer, attribute)` whose first input is the logits, if
            the output is exactly the softmax or sigmoid of that input.
        last: Name of the layer that made the output, for error messages.
    """

    kind: str | None
    source: tuple[Any, str] | None = None
    last: str = "an operation outside of any layer"


def read_head(output: Any, passages: Sequence[Passage]) -> Head:
    """Infer the head of `output` from the recorded calls of the model."""
    producers: dict[int, Passage] = {}
    for passage in passages:
        for tensor in keras.tree.flatten(passage.output):
            # The first call that returned a tensor produced it. Later calls
            # may return it too: a model its last layer's output, an inactive
            # dropout its input.
            producers.setdefault(id(tensor), passage)
    head = _trace(output, producers)
    if head.kind is None:
        return head
    if head.kind == "logits" and output.shape[-1] == 1:
        return head._replace(kind="binary_logits")
    return head


def class_logits(outputs: Any, kind: str) -> Any:
    """Convert a model's outputs to logits over at least two classes.

    Args:
        outputs: Tensor or array `(batch, ..., units)`.
        kind: One of `KINDS`. Probabilities become log-probabilities, which
            are logits of the same distribution at every temperature. Each
            binary unit becomes two classes: `[0, z]` from a logit and
            `[log(1 - p), log(p)]` from a probability.

    Returns:
        `(batch, ..., classes)`; for binary kinds `(batch, ..., 2)` from one
        unit and `(batch, ..., units, 2)` from several. float32, or float64
        for float64 inputs.
    """
    if not isinstance(outputs, keras.KerasTensor):
        outputs = ops.convert_to_tensor(outputs)
    dtype = keras.backend.standardize_dtype(outputs.dtype)
    outputs = ops.cast(outputs, "float64" if dtype == "float64" else "float32")
    # About the smallest normal float32; its logarithm is -87.3.
    tiny = 1.2e-38
    if kind == "logits":
        return outputs
    if kind == "probabilities":
        return ops.log(ops.maximum(outputs, tiny))
    if kind == "binary_probabilities":
        pair = [
            ops.log(ops.maximum(1 - outputs, tiny)),
            ops.log(ops.maximum(outputs, tiny)),
        ]
    else:
        pair = [ops.zeros_like(outputs), outputs]
    stacked = ops.stack(pair, axis=-1)
    return ops.squeeze(stacked, -2) if outputs.shape[-1] == 1 else stacked


def _trace(tensor: Any, producers: dict[int, Passage]) -> Head:
    passage = producers.get(id(tensor))
    if passage is None:
        return Head(None)
    layer = passage.layer
    last = f"`{layer.name}` ({type(layer).__name__})"
    if isinstance(layer, keras.layers.Softmax):
        if layer.axis not in (-1, len(tensor.shape) - 1):
            return Head(None, None, last)
        return Head("probabilities", (layer, "call"), last)
    if isinstance(layer, _ACTIVATED):
        name = getattr(layer.activation, "__name__", "linear")
        if name == "linear" and isinstance(layer, keras.layers.Activation):
            return Head(_agreed(_input_kinds(passage, producers)), None, last)
        return _activated(name, (layer, "activation"), last)
    if isinstance(layer, _KEEPING):
        return Head(_agreed(_input_kinds(passage, producers)), None, last)
    if isinstance(layer, _AFFINE):
        kinds = _input_kinds(passage, producers)
        bounded = kinds & {"probabilities", "binary_probabilities"}
        return Head(None if bounded else "logits", None, last)
    if not isinstance(layer, keras.Layer):
        # A `keras.ops` node of a Functional model.
        name = type(layer).__name__.lower().replace("logs", "log_s")
        return _activated(name, (layer, "call"), last)
    return Head(None, None, last)


def _activated(name: str, source: tuple[Any, str], last: str) -> Head:
    """Return the head of an output whose activation is `name`."""
    if name in ("linear", "log_softmax"):
        return Head("logits", None, last)
    kind = _PROBABILITIES.get(name)
    return Head(kind, source if kind else None, last)


def _input_kinds(
    passage: Passage, producers: dict[int, Passage]
) -> set[str | None]:
    tensors = keras.tree.flatten(passage.inputs[0])
    return {_trace(tensor, producers).kind for tensor in tensors}


def _agreed(kinds: set[str | None]) -> str | None:
    return next(iter(kinds)) if len(kinds) == 1 else None
