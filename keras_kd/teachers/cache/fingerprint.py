"""Fingerprints that identify a teacher or a function."""

import inspect
import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import xxhash

from keras_kd.core.layer_paths import walk


def of_model(model: keras.Model) -> dict[str, Any]:
    """Fingerprint a model by its architecture and its weights.

    Layer names (`dense_3`) and `trainable` flags do not count: a model that
    is rebuilt or frozen has the same fingerprint.
    """
    return {
        "kind": "model",
        "architecture": _hash(_architecture(model)),
        "weights": _hash_arrays(model),
    }


def of_teacher(teacher: Any, teacher_id: str | None) -> dict[str, Any]:
    """Fingerprint a teacher of any kind.

    Args:
        teacher: A model; or an ensemble, which has `fingerprint_parts`; or
            a callable, which needs `teacher_id`.
        teacher_id: A name that identifies the teacher, or `None`.

    Raises:
        ValueError: If a callable has no `teacher_id`.
    """
    if teacher_id is not None:
        return {"kind": "id", "id": str(teacher_id)}
    if isinstance(teacher, keras.Model):
        return of_model(teacher)
    if hasattr(teacher, "fingerprint_parts"):
        parts = teacher.fingerprint_parts()
        members = [of_model(p) for p in parts if isinstance(p, keras.Model)]
        settings = [p for p in parts if not isinstance(p, keras.Model)]
        return {
            "kind": "ensemble",
            "architecture": [member["architecture"] for member in members],
            "weights": [member["weights"] for member in members],
            "settings": json.loads(_json(settings)),
        }
    raise ValueError(
        "`TeacherCache.build` needs `teacher_id` for a teacher that is not a "
        "Keras model: a name that changes when the teacher does, so that "
        "nobody is served the outputs of another one. Received: "
        'teacher_id=None. Use for example teacher_id="resnet50-2026-01".'
    )


def of_function(function: Callable[..., Any] | str | None) -> str | None:
    """Fingerprint a function by its name and its source text.

    The values of its closure do not count.
    """
    if function is None:
        return None
    if isinstance(function, str):
        return f"key {function}"
    if isinstance(function, keras.Layer):
        name, text = type(function).__name__, _json(function.get_config())
    else:
        plain = inspect.unwrap(getattr(function, "python_function", function))
        name = getattr(plain, "__qualname__", type(plain).__name__)
        text = _source(plain)
    return f"{name.rpartition('.')[2]} {_hash(text)}"


def _source(function: Any) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        if code is None:
            return type(function).__name__
        return f"{code.co_code.hex()} {code.co_names} {code.co_varnames}"


def _architecture(model: keras.Model) -> str:
    try:
        config: Any = model.get_config()
    except NotImplementedError:
        config = None
    kinds = [type(layer).__name__ for _, layer in walk(model)]
    places = {
        name: f"layer {place}" for place, name in enumerate(_names(config))
    }
    return _json([type(model).__name__, kinds, _normal(config, places)])


def _names(config: Any) -> dict[str, None]:
    """Collect the names of layers in order."""
    found: dict[str, None] = {}
    if isinstance(config, dict):
        if isinstance(config.get("name"), str):
            found[config["name"]] = None
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        for value in config:
            found |= _names(value)
    return found


def _normal(config: Any, names: dict[str, str]) -> Any:
    """Replace layer names by their place; drop names and `trainable`."""
    if isinstance(config, dict):
        return {
            str(key): _normal(value, names)
            for key, value in config.items()
            if key not in ("name", "trainable")
        }
    if isinstance(config, (list, tuple)):
        return [_normal(value, names) for value in config]
    if isinstance(config, str):
        return names.get(config, config)
    return config


def _json(content: Any) -> str:
    return json.dumps(content, sort_keys=True, default=_plain)


def _plain(value: Any) -> Any:
    try:
        return keras.saving.serialize_keras_object(value)
    except Exception:
        return type(value).__name__


def _hash(text: str) -> str:
    return xxhash.xxh3_128_hexdigest(text.encode())


def _hash_arrays(model: keras.Model) -> str:
    state = xxhash.xxh3_128()
    for weight in model.weights:
        value = np.ascontiguousarray(weight.numpy())
        state.update(f"{value.dtype.name}{value.shape}".encode())
        state.update(memoryview(value.reshape(-1).view(np.uint8).data))
    return state.hexdigest()
