"""Chooses the blocks of a teacher that its student leaves out."""

from itertools import groupby
from itertools import pairwise
from math import floor
from typing import Any

import keras

from keras_kd.core.checks import requirement
from keras_kd.core.graphs import is_graph
from keras_kd.core.graphs import view
from keras_kd.core.keras_internals import calls_of
from keras_kd.students.shrinking.composite import is_block
from keras_kd.students.shrinking.layer_kinds import made_width
from keras_kd.students.shrinking.walk import producer

# InceptionResNetV2 scales the branch that it adds.
_ADDITIONS = {"Add", "CustomScaleLayer"}
# Layers that belong to the convolution or Dense layer before them.
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


def removed_blocks(
    teacher: keras.Model, depth: float, heads: set[int]
) -> dict[int, int]:
    """Choose the blocks to remove, separately in each nested model.

    Returns:
        See `passed_over` of `live_calls`.
    """
    models = [view(teacher)]
    runs = []
    for model in models:
        runs += _removable_runs(model, heads)
        models += [view(o) for o in model.operations if is_graph(o)]
    passed_over: dict[int, int] = {}
    for run in runs:
        gone = len(run) - floor(depth * len(run) + 0.5)
        # The last block is removed last: feature losses refer to its name.
        for block in [*run[-2::-1], run[-1]][:gone]:
            passed_over |= block
    if not passed_over:
        sizes = [len(run) for run in runs]
        advice = (
            f"Its runs have {sizes} blocks: use a smaller `depth`."
            if sizes
            else "It has no block that keeps its shape: use depth=1.0 and a "
            "smaller `width`."
        )
        raise ValueError(
            requirement(
                "students.shrink",
                "depth",
                "small enough to remove a block of the teacher",
                depth,
                advice,
            )
        )
    return passed_over


def _removable_runs(model: keras.Model, heads: set[int]) -> list[list[dict]]:
    """Find the blocks that can be removed: their output has the input's shape.

    A block is a residual branch with an identity shortcut, a layer that is a
    transformer block, or, in a model that is one chain, a Dense or
    convolution layer with its normalization, activation and dropout. A block
    is described by a dictionary: the id of each operation to pass over, and
    the index of the input that replaces its result.

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
    if _is_chain(model, nodes):
        found = _chain_blocks(nodes, heads)
    else:
        found = [
            (operation.output.shape[1:], {id(operation): index})
            for operation in nodes
            if (index := _passed_on(operation)) is not None
        ]
    return [
        [block for _, block in run]
        for _, run in groupby(found, key=lambda item: item[0])
    ]


def _inputs(operation: Any) -> list:
    return keras.tree.flatten(operation.input)


def _is_chain(model: keras.Model, nodes: list[Any]) -> bool:
    """Tell whether each operation reads the one before it and nothing else."""
    if not len(model.inputs) == len(model.outputs) == 1:
        return False
    if any(len(_inputs(operation)) != 1 for operation in nodes):
        return False
    return all(
        producer(_inputs(after)[0])[0] is before
        for before, after in pairwise(nodes)
    )


def _passed_on(operation: Any) -> int | None:
    """Return the index of the input a block adds to; None if it is no block."""
    if is_block(operation) and len(calls_of(operation)) == 1:
        return 0
    return _identity_shortcut(operation)


def _identity_shortcut(operation: Any) -> int | None:
    """Return the index of an addition's shortcut; None if there is none.

    The shortcut is the input that the other input is computed from.
    """
    if type(operation).__name__ not in _ADDITIONS:
        return None
    if len(_inputs(operation)) != 2:
        return None
    if len(calls_of(operation)) > 1:  # One layer adds in several places.
        return None
    pair = _inputs(operation)
    if pair[0].shape[1:] != pair[1].shape[1:]:
        return None
    for index in (0, 1):
        shortcut, branch = pair[index], pair[1 - index]
        from_input = isinstance(producer(shortcut)[0], keras.layers.InputLayer)
        if not from_input and _leads_to(shortcut, branch):
            return index
    return None


def _leads_to(ancestor: keras.KerasTensor, tensor: keras.KerasTensor) -> bool:
    """Tell whether `tensor` is computed from `ancestor` with no other Add.

    An Add in between means that the branch contains blocks of its own, as
    an encoder and decoder do, and so is not a single block.
    """
    seen: set[int] = set()
    waiting = [tensor]
    while waiting:
        current = waiting.pop()
        if current is ancestor:
            return current is not tensor
        operation, inputs = producer(current)
        addition = type(operation).__name__ in _ADDITIONS
        if id(current) not in seen and not addition:
            seen.add(id(current))
            waiting.extend(inputs)
    return False


def _chain_blocks(
    nodes: list[Any], heads: set[int]
) -> list[tuple[tuple, dict[int, int]]]:
    """Split a chain at its wide layers; return parts that keep the shape."""
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
