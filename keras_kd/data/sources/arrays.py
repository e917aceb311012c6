"""Arrays: of a user's program, of an `.npz` file, read from a data set."""

import contextlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import xxhash

from keras_kd.core.checks import requirement
from keras_kd.core.checks import show
from keras_kd.core.words import counted
from keras_kd.data.sources.source import PARTS
from keras_kd.data.sources.source import Part
from keras_kd.data.sources.source import Range
from keras_kd.data.sources.source import Source
from keras_kd.data.sources.source import listed

# Larger class numbers are names, such as post codes.
_MOST_CLASSES = 100_000
# What the ranges of `data.ranges` are called.
_NAMES = {(1.0, 0.0): "0..1", (255.0, 0.0): "0..255", (2.0, -1.0): "-1..1"}
_PART_OF_SUFFIX = {
    "": "train",
    "_train": "train",
    "_test": "test",
    "_val": "validation",
    "_validation": "validation",
}


def read_npz(path: Path, kind: str | None) -> Source:
    """Read the arrays `x` and `y` of an `.npz` file, and those of its parts.

    Args:
        path: The file. Its parts end in `_test` and `_val`.
        kind: The kind of data; `None` finds it.

    Raises:
        ValueError: If it has no such arrays, or holds Python objects.
    """
    with np.load(path, allow_pickle=False) as stored:
        names = list(stored)
        pairs = {
            part: (stored[f"x{suffix}"], stored[f"y{suffix}"])
            for suffix, part in _PART_OF_SUFFIX.items()
            if {f"x{suffix}", f"y{suffix}"} <= set(names)
        }
    if "train" not in pairs:
        raise ValueError(
            requirement(
                "load",
                "source",
                "an .npz file with `x` and `y` (or `x_train` and `y_train`)",
                str(path),
                f"It has {listed(names)}.",
            )
        )
    return read_arrays(str(path), pairs, kind)


def read_arrays(
    name: str, pairs: dict[str, tuple[Any, Any]], kind: str | None
) -> Source:
    """Look at arrays in memory.

    Args:
        name: What to call them.
        pairs: Part to `(x, y)`; `x` may be a structure of arrays.
        kind: The kind of data; `None` finds it.

    Raises:
        ValueError: If `x` and `y` differ in length, or a part is empty.
    """
    xs = {part: inputs_of(x) for part, (x, _) in pairs.items()}
    _check_lengths(name, {p: (xs[p], pairs[p][1]) for p in pairs})
    labels, names = labels_of([np.asarray(y) for _, y in pairs.values()])
    return looked_at(name, xs, dict(zip(xs, labels, strict=True)), names, kind)


def looked_at(
    name: str,
    xs: dict[str, Any],
    labels: dict[str, np.ndarray],
    class_names: tuple[str, ...],
    kind: str | None,
) -> Source:
    """Look at arrays whose labels are class numbers or targets already."""
    kind = kind or kind_of(xs["train"])
    if kind == "images":
        xs = {p: x[..., None] if x.ndim == 3 else x for p, x in xs.items()}
    problems = []
    for part, x in xs.items():
        problems += [f"{part}: {text}" for text in bad_rows(x)]
    shapes = {
        str(keras.tree.map_structure(lambda leaf: leaf.shape[1:], x))
        for x in xs.values()
    }
    if len(shapes) > 1:
        problems.append(f"parts of several shapes: {listed(sorted(shapes))}")
    train = xs["train"]
    range_ = scale = None
    if kind == "images":
        range_ = range_of(train)
        scale = "0..1" if train.dtype == np.uint8 else _name(range_)
    return Source(
        name=name,
        kind=kind,
        parts={part: array_part(x, labels[part]) for part, x in xs.items()},
        class_names=class_names,
        shape=getattr(train, "shape", (None,))[1:],
        range=range_,
        scale=scale,
        item_bytes=mean_bytes(train),
        numbered=class_names == tuple(map(str, range(len(class_names)))),
        notes=_missing(labels["train"], class_names),
        problems=problems,
    )


def kind_of(x: Any) -> str:
    """Return the kind of data that an array of inputs holds."""
    if not isinstance(x, np.ndarray):
        return "other"
    if x.dtype == object:
        return "text"
    if x.ndim == 4 or (x.ndim == 3 and x.dtype == np.uint8):
        return "images"
    return "numbers" if x.ndim == 2 else "other"


def range_of(images: np.ndarray) -> Range | None:
    """Return the range of the values of images, `None` if it is another."""
    if images.dtype == np.uint8:
        return (255.0, 0.0)
    low, high = float(np.min(images)), float(np.max(images))
    if low >= 0:
        return (
            (1.0, 0.0) if high <= 1 else (255.0, 0.0) if high <= 255 else None
        )
    return (2.0, -1.0) if low >= -1 and high <= 1 else None


def labels_of(
    parts: list[np.ndarray],
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Return labels as class numbers, and the names of the classes.

    Args:
        parts: The labels of each part: class numbers, names, or one-hot rows.

    Returns:
        int32 labels and the names; or, if the labels are no classes, float32
        targets and no names.
    """
    parts = [y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y for y in parts]
    every = np.concatenate([y.reshape(len(y), -1) for y in parts])
    if every.dtype.kind == "O":
        every = every.astype(str)
    if every.dtype.kind in "US":
        with contextlib.suppress(ValueError):
            every = every.astype(np.float64)
    sizes = np.cumsum([len(y) for y in parts])[:-1]
    if every.shape[1] > 1:
        if every.dtype.kind not in "US" and _one_hot(every):
            numbers = every.argmax(1).astype(np.int32)
            names = tuple(map(str, range(every.shape[1])))
            return np.split(numbers, sizes), names
        return [np.asarray(y, np.float32) for y in parts], ()
    flat = every[:, 0]
    if flat.dtype.kind == "f":
        if not np.array_equal(flat, np.rint(flat)):
            return [y.astype(np.float32) for y in np.split(flat, sizes)], ()
        flat = flat.astype(np.int64)
    if flat.dtype.kind in "iub" and _counted_from_zero(flat):
        names = tuple(map(str, range(int(flat.max()) + 1)))
        return np.split(flat.astype(np.int32), sizes), names
    found, numbers = np.unique(flat, return_inverse=True)
    numbers = numbers.astype(np.int32)
    return np.split(numbers, sizes), tuple(map(str, found))


def array_part(x: Any, y: np.ndarray) -> Part:
    """Return a part of arrays."""

    def read(rows: np.ndarray, seed: int | None) -> tf.data.Dataset:
        # tf.data reads on the CPU also where there is a GPU.
        with tf.device("CPU:0"):
            pair = keras.tree.map_structure(
                lambda leaf: tf.constant(leaf[rows]), (x, y)
            )
        dataset = tf.data.Dataset.from_tensor_slices(pair)
        return dataset if seed is None else dataset.shuffle(len(rows), seed)

    known = y if y.dtype == np.int32 else None
    return Part(len(y), read, labels=known, hashes=_hashes(x))


def bad_rows(x: Any) -> list[str]:
    """Return what to say about rows with NaN or infinite values."""
    bad = np.zeros(len(keras.tree.flatten(x)[0]), bool)
    for leaf in keras.tree.flatten(x):
        if leaf.dtype.kind == "f":
            bad |= ~np.isfinite(leaf).reshape(len(leaf), -1).all(1)
    if not bad.any():
        return []
    shown = listed(f"row {row + 1}" for row in np.flatnonzero(bad))
    what = counted(int(bad.sum()), "row")
    return [f"{what} with NaN or infinite values: {shown}"]


def mean_bytes(x: Any) -> int:
    """Return the bytes of an example, on average."""
    leaves = keras.tree.flatten(x)
    total = sum(
        sum(map(len, leaf)) if leaf.dtype == object else leaf.nbytes
        for leaf in leaves
    )
    return int(total // max(len(leaves[0]), 1)) + 1


def inputs_of(x: Any) -> Any:
    """Return inputs as arrays: float64 as float32, texts as objects."""
    several = isinstance(x, (dict, list, tuple)) and any(
        np.ndim(leaf) for leaf in keras.tree.flatten(x)
    )
    return keras.tree.map_structure(_input, x) if several else _input(x)


def _name(range_: Range | None) -> str | None:
    return None if range_ is None else _NAMES[range_]


def _missing(labels: np.ndarray, class_names: tuple[str, ...]) -> list[str]:
    present = set(labels.tolist())
    missing = [n for i, n in enumerate(class_names) if i not in present]
    return [f"No example of the classes {listed(missing)}."] if missing else []


def _input(values: Any) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype.kind in "US":
        return values.astype(object)
    return values.astype(np.float32) if values.dtype == np.float64 else values


def _hashes(x: Any) -> np.ndarray:
    leaves = keras.tree.flatten(x)
    total = np.zeros(len(leaves[0]), np.uint64)
    for leaf in leaves:
        digests = (
            xxhash.xxh3_64_intdigest(
                str(row).encode() if leaf.dtype == object else row.tobytes()
            )
            for row in leaf
        )
        total = total * np.uint64(31) + np.fromiter(digests, np.uint64)
    return total


def _one_hot(rows: np.ndarray) -> bool:
    ones = (rows == 1).sum(1) == 1
    return bool(ones.all() and (rows != 0).sum() == len(rows))


def _counted_from_zero(labels: np.ndarray) -> bool:
    return bool(labels.min() == 0 and labels.max() < _MOST_CLASSES)


def _check_lengths(name: str, pairs: dict[str, tuple[Any, Any]]) -> None:
    unknown = [part for part in pairs if part not in PARTS]
    if unknown or "train" not in pairs:
        raise ValueError(
            requirement(
                "load",
                "source",
                f"a dict of {listed(PARTS)}, with 'train'",
                sorted(pairs),
            )
        )
    for part, (x, y) in pairs.items():
        lengths = {
            len(leaf) for leaf in (*keras.tree.flatten(x), np.asarray(y))
        }
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(
                requirement(
                    "load",
                    "source",
                    "`x` and `y` of the same length, above 0",
                    name,
                    f"The part {part!r} has {show(sorted(lengths))} examples.",
                )
            )
