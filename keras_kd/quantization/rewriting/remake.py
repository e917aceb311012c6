"""Makes the int8 counterpart of one layer of the student."""

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from keras_kd.core.layer_state import copy_state
from keras_kd.quantization.activations import FUSED
from keras_kd.quantization.activations import activation_of
from keras_kd.quantization.activations import function_name
from keras_kd.quantization.layers.affine import AFFINE
from keras_kd.quantization.layers.kernels import KERNELS
from keras_kd.quantization.layers.kernels import QuantizedEmbedding
from keras_kd.quantization.layers.weightless import PAIRWISE
from keras_kd.quantization.layers.weightless import QuantizedAbsolute
from keras_kd.quantization.layers.weightless import QuantizedActivation
from keras_kd.quantization.layers.weightless import (
    QuantizedGlobalAveragePooling2D,
)
from keras_kd.quantization.layers.weightless import QuantizedHardSwish
from keras_kd.quantization.rewriting.flat import Call
from keras_kd.quantization.rewriting.operation_kinds import scaling_of
from keras_kd.quantization.rewriting.student_graph import StudentGraph

_POOLING = layers.GlobalAveragePooling2D
# Activations with several operators in int8, or with rounding of their own.
_COMPOSED = ("abs", "hard_sigmoid", "hard_silu", "silu")


@dataclass(frozen=True)
class Scheme:
    """How to quantize.

    Args:
        per_channel: Whether convolutions have a step per channel.
        learned: Whether the steps of activations are trained.
        delay: Number of training steps before anything is rounded in
            training.
        momentum: Momentum of the moving ranges.
        runtime: Whose rounding is simulated.
    """

    per_channel: bool
    learned: bool
    delay: int
    momentum: float
    runtime: str = "litert"


def remade(call: Call, graph: StudentGraph, scheme: Scheme) -> Any:
    """Return a new layer that simulates an operation in int8.

    Args:
        call: A call of the student's layer or operation.
        graph: The student's graph.
        scheme: How to quantize.
    """
    operation = call.operation
    kind, name = graph.kinds[id(operation)], graph.names[id(operation)]
    config = operation.get_config() | {"name": name}
    if kind == "kernel":
        return _kernel(operation, config, graph, scheme)
    if kind == "embedding":
        return QuantizedEmbedding.from_config(config)
    scaling = scaling_of(call) if kind == "constant" else None
    if scaling is not None:
        scale, offset = scaling
        return AFFINE[layers.Rescaling](scale, offset, name=name)
    if kind == "affine":
        # A folded normalization leaves an Identity of its name behind.
        if id(operation) in graph.raw:
            return layers.Identity(name=name)
        return AFFINE[type(operation)].from_config(config)
    if kind == "arithmetic" and type(operation) is _POOLING:
        return QuantizedGlobalAveragePooling2D.from_config(config)
    pairwise = PAIRWISE.get(type(operation).__name__)
    if kind == "arithmetic" and pairwise and _is_pair(call):
        return pairwise(name=name)
    if kind == "activation" and activation_of(operation) in _COMPOSED:
        return activation_layer(str(activation_of(operation)), name)
    made = type(operation).from_config(config)
    if isinstance(operation, keras.Layer) and not operation.weights:
        copy_state(operation, made)
    return made


def _is_pair(call: Call) -> bool:
    """Tell whether a call takes two tensors with as many axes.

    Layers and operators align tensors of different rank differently.
    """
    ranks = [len(tensor.shape) for tensor in call.inputs]
    return len(ranks) == 2 and ranks[0] == ranks[1]


def activation_layer(activation: str, name: str) -> Any:
    """Return a layer for an activation that is not fused."""
    if activation == "abs":
        return QuantizedAbsolute(name=name)
    if activation == "hard_silu":
        return QuantizedHardSwish(name=name)
    made = QuantizedActivation if activation in _COMPOSED else layers.Activation
    return made(activation, name=name)


def copy_weights(operation: Any, layer: Any, graph: StudentGraph) -> None:
    """Copy the weights of an operation to its new layer."""
    if graph.kinds[id(operation)] == "kernel":
        layer.kernel.assign(operation.kernel)
        if operation.use_bias:
            layer.bias.assign(operation.bias)
        norm = graph.folded.get(id(operation))
        if norm is not None:
            layer.norm.set_weights(norm.get_weights())
    elif isinstance(operation, keras.Layer) and layer.weights:
        copy_state(operation, layer)


def _kernel(
    operation: Any, config: dict[str, Any], graph: StudentGraph, scheme: Scheme
) -> Any:
    """Return a layer with 8-bit weights, its normalization folded in."""
    norm = graph.folded.get(id(operation))
    if norm is not None:
        frozen = graph.is_inference(norm)
        norm = type(norm).from_config(norm.get_config())
        norm.trainable = norm.trainable and not frozen
    if function_name(operation.activation) not in FUSED:
        config |= {"activation": None, "name": f"{config['name']}_linear"}
    # The copied kernel includes the low-rank adapter.
    config.pop("lora_rank", None)
    config.pop("lora_alpha", None)
    return KERNELS[type(operation)].from_config(
        config
        | {
            "norm": norm,
            "per_channel": scheme.per_channel,
            "delay": scheme.delay,
        }
    )
