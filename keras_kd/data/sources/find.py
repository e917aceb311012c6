"""Finds which source reads what the user gave."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import requirement
from keras_kd.data.bundled import DIGITS_LEVELS
from keras_kd.data.bundled import digits_uint8
from keras_kd.data.sources.arrays import array_part
from keras_kd.data.sources.arrays import read_arrays
from keras_kd.data.sources.arrays import read_npz
from keras_kd.data.sources.folders import read_folder
from keras_kd.data.sources.formats import FORMATS
from keras_kd.data.sources.named import check_name
from keras_kd.data.sources.named import prepared_folder
from keras_kd.data.sources.named import read_named
from keras_kd.data.sources.pipelines import Pipeline
from keras_kd.data.sources.pipelines import read_pipelines
from keras_kd.data.sources.source import KINDS
from keras_kd.data.sources.source import Source
from keras_kd.data.sources.tables import SUFFIXES
from keras_kd.data.sources.tables import read_table


def find(
    source: Any, kind: str | None, label: str | None, limit: int
) -> Source:
    """Look at data, whatever it comes from.

    Args:
        source: What `load` takes.
        kind: One of `KINDS`; `None` finds it.
        label: Name of the column of the labels; `None` finds it.
        limit: Most bytes that may be held in memory.

    Raises:
        TypeError: If it is nothing that can be read.
        ValueError: If it cannot be used.
    """
    if kind is not None:
        check_choice("load", "kind", kind, KINDS)
    found = _found(source, kind, label, limit)
    if kind is not None and kind != found.kind:
        raise ValueError(
            requirement("load", "kind", f"{found.kind!r} for this data", kind)
        )
    return found


def check_source(source: str) -> None:
    """Check that there is data at a path or of a name, before it is read.

    Args:
        source: A path or a name.

    Raises:
        FileNotFoundError: If there is nothing at a path.
        ImportError: If TensorFlow Datasets is needed and not installed.
        ValueError: If no set has that name.
    """
    path = Path(source).expanduser()
    if source == "digits" or path.exists():
        return
    _check_path(source)
    check_name(source.rstrip(os.sep))


def _found(
    source: Any, kind: str | None, label: str | None, limit: int
) -> Source:
    if isinstance(source, (str, os.PathLike)):
        return _of_path(os.fspath(source), kind, label)
    _check_no_label(label)
    parts = source if isinstance(source, dict) else {"train": source}
    if all(isinstance(part, Pipeline) for part in parts.values()):
        return read_pipelines(parts, kind, limit)
    if all(isinstance(p, tuple) and len(p) == 2 for p in parts.values()):
        return read_arrays("arrays", parts, kind)
    raise TypeError(
        requirement(
            "load",
            "source",
            "a name, a path, arrays `(x, y)`, a tf.data.Dataset, a PyDataset, "
            "or a dict of these by 'train', 'validation' and 'test'",
            source,
        )
    )


def _of_path(name: str, kind: str | None, label: str | None) -> Source:
    path = Path(name).expanduser()
    if name == "digits":
        _check_no_label(label)
        return _digits()
    if path.is_dir():
        prepared = prepared_folder(path)
        if prepared is not None:
            return read_named(str(prepared), label)
        _check_no_label(label)
        if kind is not None:
            check_choice("load", "kind", kind, FORMATS)
        return read_folder(path, kind)
    if path.is_file():
        if path.suffix in SUFFIXES:
            if kind is not None:
                check_choice("load", "kind", kind, ("text", "numbers"))
            return read_table(path, kind, label)
        if path.suffix == ".npz":
            _check_no_label(label)
            return read_npz(path, kind)
        raise ValueError(
            requirement(
                "load",
                "source",
                "a .csv, .jsonl or .npz file, a folder, or a name",
                name,
            )
        )
    _check_path(name)
    return read_named(name.rstrip(os.sep), label)


def _check_path(name: str) -> None:
    """Refuse what can only be a path, and is not there."""
    is_file = Path(name).suffix in (*SUFFIXES, ".npz")
    if is_file or os.sep in name.rstrip(os.sep):
        raise FileNotFoundError(f"No data at `{name}`.")


def _check_no_label(label: str | None) -> None:
    if label is not None:
        raise ValueError(
            requirement(
                "load",
                "label",
                "None: only tables and sets of TensorFlow Datasets have "
                "columns",
                label,
            )
        )


def _digits() -> Source:
    x_train, y_train, x_test, y_test = digits_uint8()
    pairs = {"train": (x_train, y_train), "test": (x_test, y_test)}
    return Source(
        name="digits",
        kind="images",
        parts={
            # Its validation part is older than parts that are stratified.
            part: replace(
                array_part(x, y.astype(np.int32)), labels=None, hashes=None
            )
            for part, (x, y) in pairs.items()
        },
        class_names=tuple(str(digit) for digit in range(10)),
        shape=x_train.shape[1:],
        range=(float(DIGITS_LEVELS), 0.0),
        scale="0..1",
    )
