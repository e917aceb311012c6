"""Shapes and dtypes of nested data, and their JSON form."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np


@dataclass(frozen=True)
class Leaf:
    """The shape and dtype of one array of one example.

    Attributes:
        shape: The shape without the batch axis; `None` for an unknown size.
        dtype: NumPy's name of the dtype; `"string"` for text.
    """

    shape: tuple[int | None, ...]
    dtype: str


def describe(structure: Any) -> Any:
    """Return the `Leaf` of every batched array or tensor spec."""
    return keras.tree.map_structure(
        lambda leaf: Leaf(tuple(leaf.shape)[1:], dtype_name(leaf.dtype)),
        structure,
    )


def dtype_name(dtype: Any) -> str:
    """Return the name of a NumPy or TensorFlow dtype."""
    name = getattr(dtype, "name", None) or np.dtype(dtype).name
    text = name in ("string", "object") or name.startswith(("str", "bytes"))
    return "string" if text else name


def fits(one: Leaf, other: Leaf) -> bool:
    """Tell whether two leaves can describe the same array."""
    return (
        one.dtype == other.dtype
        and len(one.shape) == len(other.shape)
        and all(
            a is None or b is None or a == b
            for a, b in zip(one.shape, other.shape, strict=True)
        )
    )


def show(structure: Any) -> str:
    """Format the leaves for error messages: `float32(28, 28, 1)`."""
    return ", ".join(
        f"{leaf.dtype}({', '.join(map(str, leaf.shape))})"
        for leaf in keras.tree.flatten(structure)
    )


def to_json(structure: Any) -> Any:
    """Convert a structure of `Leaf` to JSON values."""
    if isinstance(structure, Leaf):
        return {"leaf": [list(structure.shape), structure.dtype]}
    if isinstance(structure, dict):
        return {
            "dict": {key: to_json(value) for key, value in structure.items()}
        }
    if isinstance(structure, (list, tuple)):
        kind = "list" if isinstance(structure, list) else "tuple"
        return {kind: [to_json(value) for value in structure]}
    raise TypeError(
        "`TeacherCache` stores tensors in dicts, lists and tuples. Received: "
        f"a {type(structure).__name__}."
    )


def from_json(content: Any) -> Any:
    """Return the structure that `to_json` converted.

    Raises:
        ValueError: If `content` is not a result of `to_json`.
    """
    if not isinstance(content, dict) or len(content) != 1:
        raise ValueError("a structure is not one of dict, list, tuple, leaf")
    ((kind, value),) = content.items()
    if kind == "dict" and isinstance(value, dict):
        return {key: from_json(item) for key, item in value.items()}
    if kind in ("list", "tuple") and isinstance(value, list):
        items = [from_json(item) for item in value]
        return items if kind == "list" else tuple(items)
    if kind == "leaf" and isinstance(value, list) and len(value) == 2:
        return _leaf(*value)
    raise ValueError("a structure is not one of dict, list, tuple, leaf")


def _leaf(shape: Any, dtype: Any) -> Leaf:
    if not isinstance(shape, list) or not isinstance(dtype, str):
        raise ValueError("a leaf is not a shape and a type")
    sizes: Sequence[Any] = shape
    for size in sizes:
        if size is not None and (type(size) is not int or size < 0):
            raise ValueError("a shape has a size that is not a count")
    return Leaf(tuple(sizes), dtype)
