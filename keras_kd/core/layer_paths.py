"""Finds layers by name, path or pattern, in nested and subclassed models."""

import difflib
import re
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import keras

from keras_kd.core.checks import nearest
from keras_kd.core.checks import requirement
from keras_kd.core.checks import show
from keras_kd.core.keras_internals import held_layers


def walk(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield `(path, layer)` for every layer below `model`, outermost first.

    A path joins the names of nested layers with `/`: `"backbone/block_3"`.
    """
    for layer in _children(model):
        path = f"{prefix}{layer.name}"
        yield path, layer
        yield from walk(layer, f"{path}/")


def find_layer(model: Any, path: str, *, subject: str, argument: str) -> Any:
    """Return the layer that `path` names.

    Args:
        model: The model to look in.
        path: A layer's name, or names joined by `/` from the outside in. The
            name of a nested layer is enough if it is unique.
        subject: Class or function to name in the error.
        argument: The argument that holds the path, for the error.

    Raises:
        ValueError: If no layer, or more than one, matches. Offers the
            nearest name, or lists the paths.
    """
    paths = list(walk(model))
    exact = [layer for known, layer in paths if known == path]
    if exact:
        return exact[0]
    inner = _flattened(path, paths) or [
        (known, layer) for known, layer in paths if known.endswith(f"/{path}")
    ]
    if len({id(layer) for _, layer in inner}) == 1:
        return inner[0][1]
    if inner:
        listed = ", ".join(repr(known) for known, _ in inner)
        raise ValueError(
            f"`{subject}` needs `{argument}` to name one layer of "
            f"`{model.name}`. Received: {argument}={path!r}, which names "
            f"{len(inner)}: {listed}. Give the whole path."
        )
    names = [known for known, _ in paths]
    hint = nearest(path, names) or nearest(
        path, [known.rsplit("/", 1)[-1] for known in names]
    )
    listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    raise ValueError(
        f"`{subject}` needs `{argument}` to name a layer of `{model.name}`. "
        f"Received: {argument}={path!r}. {hint} Layers: {listed}.".replace(
            ".  ", ". "
        )
    )


def is_pattern(name: str, paths: Iterable[str]) -> bool:
    """Tell whether a string is a regular expression and names no layer.

    Args:
        name: The string.
        paths: The paths of the layers that there are.
    """
    special = any(sign in name for sign in r".^$*+?{}[]\|()")
    return special and not any(
        path == name or path.endswith(f"/{name}") for path in paths
    )


def matching(
    pattern: str, paths: Iterable[str], *, subject: str, argument: str
) -> list[str]:
    """Return the paths that a regular expression matches as a whole.

    Args:
        pattern: The regular expression.
        paths: The paths of the layers that there are, in order.
        subject: Class or function to name in the error.
        argument: The argument that holds the pattern, for the error.

    Raises:
        ValueError: If it matches none, or is no regular expression.
    """
    paths = list(paths)
    try:
        found = [path for path in paths if re.fullmatch(pattern, path)]
    except re.error as error:
        raise ValueError(
            requirement(
                subject,
                argument,
                "a layer's name or path, or a regular expression",
                pattern,
                f"It is none: {error}.",
            )
        ) from None
    if found:
        return found
    near = difflib.get_close_matches(pattern, paths, n=3, cutoff=0.0)
    raise ValueError(
        requirement(
            subject,
            argument,
            "a regular expression that matches the whole path of a layer",
            pattern,
            f"The nearest paths: {show(near)}.",
        )
    )


def _flattened(
    path: str, paths: list[tuple[str, Any]]
) -> list[tuple[str, Any]]:
    """Find a nested layer in a model that has the nested layers in its own.

    A quantize-aware student has them so: `backbone` is an `Identity` on the
    result of what was a model, and `backbone/block` is `block`, or
    `backbone_block` if the student has several layers of that name.
    """
    outer, _, _ = path.partition("/")
    here = dict(paths)
    if path == outer or not isinstance(here.get(outer), keras.layers.Identity):
        return []
    names = (path.replace("/", "_"), path.rsplit("/", 1)[-1])
    return [(name, here[name]) for name in names if name in here][:1]


def _children(layer: Any) -> list[Any]:
    """Return the direct sub-layers of a layer or model, in a stable order."""
    model = isinstance(layer, keras.Model)
    children = layer.layers if model else held_layers(layer)
    inputs = keras.layers.InputLayer
    return [child for child in children if not isinstance(child, inputs)]
