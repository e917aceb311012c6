"""Walks a teacher's graph: its layers, its calls, the path to its head."""

from collections.abc import Iterator
from typing import Any

import keras

from keras_kd.core.checks import requirement
from keras_kd.core.graphs import is_graph
from keras_kd.core.graphs import view
from keras_kd.core.keras_internals import calls_of
from keras_kd.core.keras_internals import origin
from keras_kd.students.shrinking.layer_kinds import width_key

# Activations that give probabilities or their logarithms.
_PROBABILITY = {
    "hard_sigmoid",
    "log_sigmoid",
    "log_softmax",
    "logsigmoid",
    "logsoftmax",
    "sigmoid",
    "softmax",
}
# Layers allowed between the layer that makes the logits and the output.
_AFTER_HEAD = {
    "Activation",
    "ActivityRegularization",
    "AveragePooling2D",
    "BatchNormalization",
    "Dropout",
    "Flatten",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "Identity",
    "Rescaling",
    "Reshape",
    "Resizing",
    "Squeeze",
    "UpSampling2D",
}


def operations(model: keras.Model) -> Iterator[Any]:
    """Yield the operations of a model, including those of nested models."""
    for operation in view(model).operations:
        if is_graph(operation):
            yield from operations(operation)
        else:
            yield operation


def live_calls(
    model: keras.Model, passed_over: dict[int, int]
) -> Iterator[tuple[Any, list, list]]:
    """Yield `(operation, inputs, results)` of each call, inputs first.

    Args:
        model: A Functional model. A nested model counts as one operation.
        passed_over: For operations of removed blocks, by their id, the index
            of the input that replaces the result. Only that input is
            yielded; the operations behind the others are not visited.
    """
    ready = {id(tensor) for tensor in model.inputs}
    waiting = list(model.outputs)
    while waiting:
        tensor = waiting[-1]
        if id(tensor) in ready:
            waiting.pop()
            continue
        operation, node_index, _ = origin(tensor)
        node = calls_of(operation)[node_index]
        inputs = node.input_tensors
        if id(operation) in passed_over:
            inputs = [inputs[passed_over[id(operation)]]]
        missing = [x for x in inputs if id(x) not in ready]
        if missing:
            waiting.extend(missing)
            continue
        yield operation, inputs, node.output_tensors
        ready |= {id(x) for x in node.output_tensors}


def activation_name(operation: Any) -> str:
    """Return the name of an operation's activation, or "linear"."""
    activation = getattr(operation, "activation", None)
    if activation is not None:
        return getattr(activation, "__name__", type(activation).__name__)
    name = type(operation).__name__.lower()
    return name if name in _PROBABILITY else "linear"


def head_path(tensor: keras.KerasTensor) -> list[Any]:
    """List the operations from the layer that makes the logits to an output.

    The operations of nested models are included.

    Raises:
        ValueError: If the output does not come from a Dense or convolution
            layer, or passes through anything but a softmax or sigmoid,
            pooling, dropout, reshaping and the like.
    """
    path: list[Any] = []
    while True:
        operation, inputs = producer(tensor)
        if is_graph(operation):
            index = origin(tensor)[2]
            return head_path(operation.outputs[index]) + path
        path.insert(0, operation)
        name = activation_name(operation)
        if name != "linear" and name not in _PROBABILITY:
            raise _no_head(operation, f"applies {name}")
        if width_key(operation) is not None:
            return path
        kind = type(operation).__name__
        known = kind in _AFTER_HEAD or kind.lower() in _PROBABILITY
        if len(inputs) != 1 or not known:
            raise _no_head(operation, f"is a {kind}")
        tensor = inputs[0]


def producer(tensor: keras.KerasTensor) -> tuple[Any, list]:
    """Return the operation that made a tensor, and that call's inputs."""
    operation, node_index, _ = origin(tensor)
    return operation, calls_of(operation)[node_index].input_tensors


def _no_head(operation: Any, found: str) -> ValueError:
    return ValueError(
        requirement(
            "students.shrink",
            "teacher",
            "a classifier whose output comes from a Dense or convolution "
            "layer as logits, or through softmax or sigmoid",
            operation,
            f"`{operation.name}` {found}. Give the whole classifier, or write "
            "the student by hand.",
        )
    )
