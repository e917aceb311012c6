"""Finds the first and last layers of a student, which may stay in float32."""

from typing import Any

import keras
from keras import layers

from keras_kd.core.graphs import calls
from keras_kd.core.graphs import view
from keras_kd.core.keras_internals import maker
from keras_kd.quantization.activations import activation_of


@keras.saving.register_keras_serializable("keras_kd")
class FloatEnd(layers.Identity):
    """Marks a student's output that is in float32."""


def first_and_last(model: keras.Model) -> set[int]:
    """Return the ids of the operations that `first_last="float"` keeps.

    The first layers are those with weights that no other layer with weights
    precedes. The operations before them and the normalization and activation
    after them are kept, too. The last layers are the first ones with weights
    that a walk back from the outputs meets; the operations after them are
    kept, too. An embedding is not kept, because rounding its rows only rounds
    its results. Nested models are searched as well. If a nested model begins
    with kept layers, the ids contain its inputs; if it ends with kept layers,
    the ids contain the nested model itself.

    Args:
        model: A Functional or Sequential model.
    """
    kept: set[int] = set()
    outer = view(model)
    _from_inputs(outer, [set() for _ in outer.inputs], kept)
    _from_outputs(outer, kept)
    return kept


def _from_inputs(
    model: keras.Model, leading: list[set[int]], kept: set[int]
) -> list[set[int] | None]:
    """Add the first layers of a model to `kept`.

    Args:
        model: The student, or a nested model.
        leading: For each input, the ids of the operations that lead to it.
        kept: Set that the ids are added to.

    Returns:
        For each output, the ids of the operations that lead to it, `None` if
        there is a layer with weights among them.
    """
    free = {
        id(tensor): {*before, id(maker(tensor))}
        for tensor, before in zip(model.inputs, leading, strict=True)
    }
    following: set[int] = set()
    for node in calls(model):
        operation = node.operation
        sources = [id(tensor) for tensor in node.input_tensors]
        made = [id(tensor) for tensor in node.output_tensors]
        if following.issuperset(sources) and _adjusts(operation):
            kept.add(id(operation))
            following.update(made)
        if not free.keys() >= set(sources):
            continue
        before = set().union(*(free[source] for source in sources))
        if _is_model(operation):
            inner = [free[source] for source in sources]
            found = _from_inputs(view(operation), inner, kept)
            pairs = zip(made, found, strict=True)
            free |= {key: ids for key, ids in pairs if ids is not None}
        elif not _has_matrix(operation):
            free |= dict.fromkeys(made, before | {id(operation)})
        elif not isinstance(operation, layers.Embedding):
            kept |= before | {id(operation)}
            following.update(made)
    return [free.get(id(tensor)) for tensor in model.outputs]


def _from_outputs(model: keras.Model, kept: set[int]) -> bool:
    """Add the last layers to `kept`; tell whether the walk met an input."""
    makers = {
        id(tensor): node
        for node in calls(model)
        for tensor in node.output_tensors
    }
    inputs = {id(tensor) for tensor in model.inputs}
    pending = list(model.outputs)
    seen: set[int] = set()
    while pending:
        tensor = pending.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if id(tensor) in inputs:
            continue
        node = makers[id(tensor)]
        operation = node.operation
        if not isinstance(operation, layers.Embedding):
            kept.add(id(operation))
        if _is_model(operation):
            passes = _from_outputs(view(operation), kept)
        else:
            passes = not _has_matrix(operation)
        if passes:
            pending.extend(node.input_tensors)
    return bool(seen & inputs)


def _is_model(operation: Any) -> bool:
    return isinstance(operation, (keras.Function, keras.Sequential))


def _has_matrix(operation: Any) -> bool:
    """Tell whether a layer mixes channels, and does not only scale them."""
    return any(len(weight.shape) > 1 for weight in _weights(operation))


def _weights(operation: Any) -> list[Any]:
    return operation.weights if isinstance(operation, keras.Layer) else []


def _adjusts(operation: Any) -> bool:
    """Tell whether an operation is a normalization or an activation."""
    norm = isinstance(operation, layers.BatchNormalization)
    return norm or activation_of(operation) is not None
