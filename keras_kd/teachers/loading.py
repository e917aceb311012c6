"""Loads a teacher from a `.keras` file, with errors that say what to do."""

import os
import zipfile
from pathlib import Path
from typing import Any

import keras


def load(path: str | os.PathLike[str]) -> keras.Model:
    """Load a teacher from a `.keras` file.

    Files are never loaded with `safe_mode=False`: a `Lambda` layer contains
    Python bytecode, which loading could run.

    Args:
        path: A file written by `model.save("teacher.keras")`.

    Returns:
        The model, not compiled.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a complete `.keras` file, or needs
            `safe_mode=False` or a custom class.

    Example:
    >>> import keras_kd
    >>> keras_kd.teachers.load("missing.keras")
    Traceback (most recent call last):
    ...
    FileNotFoundError: No teacher at `missing.keras`. ...
    """
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(
            f"No teacher at `{file}`. Give the path of a file written by "
            '`model.save("teacher.keras")`.'
        )
    if not zipfile.is_zipfile(file):
        raise ValueError(
            f"`{file}` is not a whole `.keras` file: it is truncated, or of "
            f"another format ({file.stat().st_size} bytes). Save the model "
            'again with `model.save("teacher.keras")`; weights alone '
            "(`.weights.h5`) do not say what the model is."
        )
    try:
        model: Any = keras.models.load_model(file, compile=False)
    except Exception as error:
        raise ValueError(_reason(file, error)) from error
    return model


def _reason(file: Path, error: Exception) -> str:
    text = str(error)
    if "safe_mode" in text or "Lambda" in text:
        return (
            f"`{file}` holds a `Lambda` layer, whose Python code would run on "
            "loading. Replace the layer by one of `keras.layers` or a "
            "registered class and save again; or, if you trust the file, "
            "load it yourself with `keras.models.load_model(path, "
            "safe_mode=False)` and pass the model."
        )
    first = text.strip().splitlines()[0] if text.strip() else ""
    return (
        f"`{file}` cannot be loaded: {type(error).__name__}: {first} If the "
        "model has custom classes, import the module that registers them "
        "first; otherwise the file is damaged and must be saved again."
    )
