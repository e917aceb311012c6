"""The graph of a Functional or Sequential model, read from its outputs."""

from collections.abc import Iterator
from itertools import groupby
from itertools import pairwise
from typing import Any

import keras

from keras_kd.core.checks import requirement
from keras_kd.core.graphs import is_graph
from keras_kd.core.graphs import view
from keras_kd.students.shrinking.composite import is_block
from keras_kd.students.shrinking.layer_kinds import made_width
from keras_kd.students.shrinking.layer_kinds import width_key

# Activations whose result is a probability or its logarithm.
_PROBABILITY = {
    "hard_sigmoid",
    "log_sigmoid",
    "log_softmax",
    "logsigmoid",
    "logsoftmax",
    "sigmoid",
    "softmax",
}
# What may stand between the layer that makes the logits and the output.
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
# InceptionResNetV2 scales the branch that it adds.
_ADDITIONS = {"Add", "CustomScaleLayer"}
# What belongs to the convolution or dense layer before it.
_AFTER_BLOCK = {
    "Activation",
    "BatchNormalization",
    "Dropout",
    "GroupNormalization",
    "LayerNormalization",
    "LeakyReLU",
    "ReLU",
    "SpatialDropout2D",
}


def operations(model: keras.Model) -> Iterator[Any]:
    """Yield the operations of a model, those of nested models in place."""
    for operation in view(model).operations:
        if is_graph(operation):
            yield from operations(operation)
        else:
            yield operation


def calls(
    model: keras.Model, passed_over: dict[int, int]
) -> Iterator[tuple[Any, list, list]]:
    """Yield `(operation, inputs, results)` of each call, inputs first.

    Args:
        model: A Functional model; nested ones are one operation.
        passed_over: Operations of which one input stands for the result, by
            their id: only that input is given, what made the others is not
            visited.
    """
    ready = {id(tensor) for tensor in model.inputs}
    waiting = list(model.outputs)
    while waiting:
        tensor = waiting[-1]
        if id(tensor) in ready:
            waiting.pop()
            continue
        operation, node_index, _ = tensor._keras_history
        node = operation._inbound_nodes[node_index]
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
    """Name what an operation applies last: "linear" where it is nothing."""
    activation = getattr(operation, "activation", None)
    if activation is not None:
        return getattr(activation, "__name__", type(activation).__name__)
    name = type(operation).__name__.lower()
    return name if name in _PROBABILITY else "linear"


def head_path(tensor: keras.KerasTensor) -> list[Any]:
    """List the operations from the layer that makes the logits to an output.

    Nested models are entered. Raises ValueError where the output does not
    come from one Dense or convolution layer, through nothing but a softmax
    or sigmoid, pooling, dropout and reshaping.
    """
    path: list[Any] = []
    while True:
        operation, inputs = _producer(tensor)
        if is_graph(operation):
            index = tensor._keras_history.tensor_index
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


def removable_runs(model: keras.Model, heads: set[int]) -> list[list[dict]]:
    """Find the blocks that can go: same shape in and out, nothing else fed.

    A block is a residual branch with an identity shortcut, a layer that is a
    transformer's block, or, where the model is one chain, a Dense or
    convolution layer with its normalization, activation and dropout. It is
    given as a dictionary from the id of each operation to pass over to the
    index of the input that takes the place of its result.

    Args:
        model: A Functional model.
        heads: Ids of the layers that make the logits.

    Returns:
        Runs of consecutive blocks of one shape, in the order of the model.
    """
    nodes = [
        operation
        for operation in model.operations
        if not isinstance(operation, keras.layers.InputLayer)
    ]
    chain = len(model.inputs) == len(model.outputs) == 1 and all(
        len(_inputs(operation)) == 1 for operation in nodes
    )
    if chain:
        chain = _ordered(nodes)
    found = (
        _chain_blocks(nodes, heads)
        if chain
        else [
            (operation.output.shape[1:], {id(operation): index})
            for operation in nodes
            if (index := _passed_on(operation)) is not None
        ]
    )
    return [
        [block for _, block in run]
        for _, run in groupby(found, key=lambda item: item[0])
    ]


def _producer(tensor: keras.KerasTensor) -> tuple[Any, list]:
    """Return the operation that made a tensor, and what it made it from."""
    operation, node_index, _ = tensor._keras_history
    return operation, operation._inbound_nodes[node_index].input_tensors


def _inputs(operation: Any) -> list:
    return keras.tree.flatten(operation.input)


def _ordered(nodes: list[Any]) -> bool:
    """Tell whether each operation reads the one before it."""
    return all(
        _producer(_inputs(after)[0])[0] is before
        for before, after in pairwise(nodes)
    )


def _passed_on(operation: Any) -> int | None:
    """Index of the input that a block adds to, None where it is no block."""
    if is_block(operation) and len(operation._inbound_nodes) == 1:
        return 0
    return _identity_shortcut(operation)


def _identity_shortcut(operation: Any) -> int | None:
    """Index of the input of an addition that its other input is made from."""
    if type(operation).__name__ not in _ADDITIONS:
        return None
    if len(_inputs(operation)) != 2:
        return None
    if len(operation._inbound_nodes) > 1:  # One layer adds in several places.
        return None
    pair = _inputs(operation)
    if pair[0].shape[1:] != pair[1].shape[1:]:
        return None
    for index in (0, 1):
        shortcut, branch = pair[index], pair[1 - index]
        from_input = isinstance(_producer(shortcut)[0], keras.layers.InputLayer)
        if not from_input and _leads_to(shortcut, branch):
            return index
    return None


def _leads_to(ancestor: keras.KerasTensor, tensor: keras.KerasTensor) -> bool:
    """Tell whether `tensor` is computed from `ancestor` with no other Add.

    An Add in between means that the branch holds blocks of its own, as an
    encoder and decoder do: that is not one block.
    """
    seen: set[int] = set()
    waiting = [tensor]
    while waiting:
        current = waiting.pop()
        if current is ancestor:
            return current is not tensor
        operation, inputs = _producer(current)
        addition = type(operation).__name__ in _ADDITIONS
        if id(current) not in seen and not addition:
            seen.add(id(current))
            waiting.extend(inputs)
    return False


def _chain_blocks(
    nodes: list[Any], heads: set[int]
) -> list[tuple[tuple, dict[int, int]]]:
    """Split a chain at its wide layers; keep parts that keep the shape."""
    blocks: list[tuple[tuple, dict[int, int]]] = []
    for start, operation in enumerate(nodes):
        if is_block(operation):
            blocks.append((operation.output.shape[1:], {id(operation): 0}))
            continue
        wide = made_width(operation) is not None
        if not wide or id(operation) in heads or start == 0:
            continue
        stop = start + 1
        while stop < len(nodes) and type(nodes[stop]).__name__ in _AFTER_BLOCK:
            stop += 1
        part = nodes[start:stop]
        if _inputs(operation)[0].shape[1:] == part[-1].output.shape[1:]:
            block = {id(member): 0 for member in part}
            blocks.append((part[-1].output.shape[1:], block))
    return blocks


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
