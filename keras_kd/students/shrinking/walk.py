"""Walks a teacher's graph: its layers, its calls, the path to its head."""

from collections.abc import Iterator
from typing import Any

import keras

from keras_kd.core.graphs import is_graph
from keras_kd.core.graphs import view
from keras_kd.core.keras_internals import calls_of
from keras_kd.core.keras_internals import origin
from keras_kd.students.shrinking.layer_kinds import follows_input
from keras_kd.students.shrinking.layer_kinds import inner
from keras_kd.students.shrinking.layer_kinds import is_kind
from keras_kd.students.shrinking.layer_kinds import made_width

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
# Layers behind which probabilities are still probabilities.
_KEEPING = {
    "Activation",
    "ActivityRegularization",
    "AveragePooling2D",
    "Dropout",
    "Flatten",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "Identity",
    "Reshape",
    "Resizing",
    "Squeeze",
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
    activation = getattr(inner(operation), "activation", None)
    if activation is not None:
        return getattr(activation, "__name__", type(activation).__name__)
    name = type(operation).__name__.lower()
    return name if name in _PROBABILITY else "linear"


def head_path(tensor: keras.KerasTensor) -> list[Any]:
    """List the operations from the last layer with a width to an output.

    The operations of nested models are included. The list begins later, with
    an operation that has no width, if several results meet there or if its
    width is hidden inside it.
    """
    path: list[Any] = []
    while True:
        operation, inputs = producer(tensor)
        if is_graph(operation):
            index = origin(tensor)[2]
            return head_path(operation.outputs[index]) + path
        path.insert(0, operation)
        plain = not getattr(operation, "weights", [])
        passed = plain or follows_input(operation)
        if len(inputs) != 1 or made_width(operation) is not None or not passed:
            return path
        tensor = inputs[0]


def probabilities(path: list[Any]) -> list[Any]:
    """List the operations of a head path that turn logits to probabilities."""
    found = []
    for operation in reversed(path):
        if activation_name(operation) in _PROBABILITY:
            found.append(operation)
        elif not is_kind(operation, _KEEPING):
            break
    return found


def producer(tensor: keras.KerasTensor) -> tuple[Any, list]:
    """Return the operation that made a tensor, and that call's inputs."""
    operation, node_index, _ = origin(tensor)
    return operation, calls_of(operation)[node_index].input_tensors
