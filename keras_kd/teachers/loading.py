"""Loads a teacher from a `.keras` file, with errors that say what to do."""

import os
from pathlib import Path

import keras

from keras_kd.core.model_files import open_model


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
    model: keras.Model = open_model(file)
    return model
