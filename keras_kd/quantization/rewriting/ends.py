"""Finds the first and last layers of a student, which may stay in float32."""

from typing import Any

import keras
from keras import layers

from keras_kd.quantization.activations import activation_of
from keras_kd.quantization.rewriting.flat import FlatGraph


@keras.saving.register_keras_serializable("keras_kd")
class FloatEnd(layers.Identity):
    """Marks an input or output of a student that is in float32."""


def first_and_last(model: keras.Model) -> set[int]:
    """Return the ids of the operations that `first_last="float"` keeps.

    The first layers are those with weights that no other layer with weights
    precedes. The operations before them and the normalization and activation
    after them are kept, too. The last layers are the first ones with weights
    that a walk back from the outputs meets; the operations after them are
    kept, too. An embedding is not kept, because rounding its rows only rounds
    its results. Nested models are searched as well.

    Args:
        model: A Functional or Sequential model.
    """
    graph = FlatGraph(model)
    return _from_inputs(graph) | _from_outputs(graph)


def _from_inputs(graph: FlatGraph) -> set[int]:
    """Return the ids of the first layers and of what is around them."""
    kept: set[int] = set()
    # For each tensor that no layer with weights precedes, the ids of the
    # operations that lead to it.
    free: dict[int, set[int]] = {id(tensor): set() for tensor in graph.inputs}
    following: set[int] = set()
    for call in graph.calls:
        operation = call.operation
        sources = {id(tensor) for tensor in call.inputs}
        made = [id(tensor) for tensor in call.outputs]
        if sources <= following and _adjusts(operation):
            kept.add(id(operation))
            following.update(made)
        if not sources <= free.keys():
            continue
        before = set().union(*(free[source] for source in sources))
        before.add(id(operation))
        if not _has_matrix(operation):
            free |= dict.fromkeys(made, before)
        elif not isinstance(operation, layers.Embedding):
            kept |= before
            following.update(made)
    return kept


def _from_outputs(graph: FlatGraph) -> set[int]:
    """Return the ids of the last layers and of what follows them."""
    kept: set[int] = set()
    wanted = {id(tensor) for tensor in graph.outputs}
    for call in reversed(graph.calls):
        if wanted.isdisjoint(map(id, call.outputs)):
            continue
        if not isinstance(call.operation, layers.Embedding):
            kept.add(id(call.operation))
        if not _has_matrix(call.operation):
            wanted.update(map(id, call.inputs))
    return kept


def _has_matrix(operation: Any) -> bool:
    """Tell whether a layer mixes channels, and does not only scale them."""
    return any(len(weight.shape) > 1 for weight in _weights(operation))


def _weights(operation: Any) -> list[Any]:
    return operation.weights if isinstance(operation, keras.Layer) else []


def _adjusts(operation: Any) -> bool:
    """Tell whether an operation is a normalization or an activation."""
    norm = isinstance(operation, layers.BatchNormalization)
    return norm or activation_of(operation) is not None
