"""Infers what a model's outputs are from the layers that computed them."""

from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from keras_kd.core.wires import Passage

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
        kind: One of `output_kinds.KINDS`, or `None` if the layers do not
            tell.
        source: The `(layer, attribute)` whose first input is the logits, if
            the output is exactly the softmax or sigmoid of that input.
        last: Name of the layer that made the output, for error messages.
        linear: Whether the output is unbounded, so that it may be the logits
            of classes, the logits of labels, or numbers.
    """

    kind: str | None
    source: tuple[Any, str] | None = None
    last: str = "an operation outside of any layer"
    linear: bool = False


def read_head(output: Any, passages: Sequence[Passage]) -> Head:
    """Infer the head of `output` from the recorded calls of the model."""
    producers: dict[int, Passage] = {}
    for passage in passages:
        given = {id(tensor) for tensor in keras.tree.flatten(passage.inputs)}
        for tensor in keras.tree.flatten(passage.output):
            if id(tensor) in given:
                continue  # A layer that returns its input produced nothing.
            # The first call that returned a tensor produced it. Later calls
            # may return it too: a model its last layer's output, an inactive
            # dropout its input.
            producers.setdefault(id(tensor), passage)
    return _trace(output, producers)


def class_logits(outputs: Any, kind: str) -> Any:
    """Convert a model's outputs to logits over at least two classes.

    Args:
        outputs: Tensor or array `(batch, ..., units)`.
        kind: One of `output_kinds.KINDS`. Probabilities become
            log-probabilities, which are logits of the same distribution at
            every temperature. Numbers and embeddings stay as they are. Each
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
    if kind in ("logits", "numbers", "embedding"):
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
            return _kept(passage, producers, last)
        return _activated(name, (layer, "activation"), last)
    if isinstance(layer, _KEEPING):
        return _kept(passage, producers, last)
    if isinstance(layer, keras.layers.UnitNormalization):
        return Head("embedding", None, last)
    if isinstance(layer, _AFFINE):
        kinds = {head.kind for head in _inputs(passage, producers)}
        bounded = kinds & {"probabilities", "binary_probabilities"}
        return Head(None, None, last) if bounded else _linear(last)
    if not isinstance(layer, keras.Layer):
        # A `keras.ops` node of a Functional model.
        name = type(layer).__name__.lower().replace("logs", "log_s")
        return _activated(name, (layer, "call"), last)
    return Head(None, None, last)


def _activated(name: str, source: tuple[Any, str], last: str) -> Head:
    """Return the head of an output whose activation is `name`."""
    if name == "linear":
        return _linear(last)
    if name == "log_softmax":
        return Head("logits", None, last)
    if name == "normalize":
        return Head("embedding", None, last)
    kind = _PROBABILITIES.get(name)
    return Head(kind, source if kind else None, last)


def _linear(last: str) -> Head:
    return Head("logits", None, last, linear=True)


def _kept(passage: Passage, producers: dict[int, Passage], last: str) -> Head:
    """Return the head of a layer whose output is what its inputs are."""
    heads = _inputs(passage, producers)
    agree = len({head.kind for head in heads}) == 1
    linear = agree and any(head.linear for head in heads)
    return Head(heads[0].kind if agree else None, None, last, linear)


def _inputs(passage: Passage, producers: dict[int, Passage]) -> list[Head]:
    tensors = keras.tree.flatten(passage.inputs[0])
    return [_trace(tensor, producers) for tensor in tensors]
