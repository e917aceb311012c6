"""Hashes a student's architecture: students of one hash cost the same."""

import json
from typing import Any

import keras
import xxhash

from keras_kd.core.keras_internals import held_layers
from keras_kd.core.keras_internals import outputs_structure
from keras_kd.core.keras_internals import run_order

# Settings that do not change the size or speed of a converted file.
_WITHOUT = {
    "activity_regularizer",
    "name",
    "seed",
    "trainable",
    *(
        f"{weight}_{role}"
        for weight in (
            "beta",
            "bias",
            "depthwise",
            "embeddings",
            "gamma",
            "kernel",
            "moving_mean",
            "moving_variance",
            "pointwise",
            "recurrent",
        )
        for role in ("constraint", "initializer", "regularizer")
    ),
}


def architecture_key(model: keras.Model) -> str:
    """Return a hash of a model's architecture.

    It depends on the layers, their settings, the shapes and types of their
    weights, and the connections. It does not depend on names, seeds, initial
    values, regularizers or `trainable`. For a subclassed model only the
    layers, weights and configuration count; its `call` is not known.

    Args:
        model: A built model.
    """
    # `model.get_config()` would take three times as long, and a search needs
    # the hash in every trial.
    text = json.dumps(_described(model), sort_keys=True, default=_plain)
    return xxhash.xxh3_128_hexdigest(text.encode())


def _described(layer: Any) -> list[Any]:
    """Describe a layer, an operation or a model, as plain values."""
    content: list[Any] = [f"{type(layer).__module__}.{type(layer).__name__}"]
    # A user's own class may do more than its graph says.
    known = type(layer) in (keras.Model, keras.Sequential) or (
        type(layer).__name__ == "Functional"
    )
    if not known:
        content.append(_settings(layer))
    if isinstance(layer, keras.Function):
        return [*content, _graph(layer)]
    inner: Any = getattr(layer, "layers", None)
    inner = inner or held_layers(layer)
    content.append([_described(child) for child in inner])
    weights = getattr(layer, "weights", ())
    content.append([(list(w.shape), str(w.dtype)) for w in weights])
    if isinstance(layer, keras.Sequential):
        content.append([list(tensor.shape) for tensor in layer.inputs or ()])
    return content


def _settings(layer: Any) -> Any:
    try:
        config = layer.get_config()
    except NotImplementedError:
        return None
    return _without(config)


def _without(config: Any) -> Any:
    if isinstance(config, dict):
        return {
            key: _without(value)
            for key, value in config.items()
            if key not in _WITHOUT
        }
    if isinstance(config, (list, tuple)):
        return [_without(value) for value in config]
    return config


def _graph(model: Any) -> list[Any]:
    """Describe the calls of a Functional model and their inputs."""
    places: dict[int, str] = {}
    for number, tensor in enumerate(keras.tree.flatten(model.inputs)):
        places[id(tensor)] = f"input {number}"
    order = {id(layer): n for n, layer in enumerate(model.operations)}
    content: list[Any] = [_described(layer) for layer in model.operations]
    for node in run_order(model):
        number = order[id(node.operation)]
        if not node.is_input:
            fed = keras.tree.map_structure(
                lambda leaf: places.get(id(leaf)) or _plain(leaf),
                [list(node.arguments.args), node.arguments.kwargs],
            )
            content.append([number, fed])
        for place, tensor in enumerate(node.output_tensors):
            call = f"{number} {len(places)} {place}"
            places.setdefault(id(tensor), call)
    shapes = [[list(t.shape), str(t.dtype)] for t in model.inputs]
    outputs = keras.tree.map_structure(
        lambda leaf: places[id(leaf)], outputs_structure(model)
    )
    return [*content, shapes, outputs]


def _plain(value: Any) -> Any:
    """Return a description of a value that JSON cannot represent."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if callable(value):
        return getattr(value, "__qualname__", type(value).__name__)
    try:
        return _without(keras.saving.serialize_keras_object(value))
    except Exception:
        return type(value).__name__
