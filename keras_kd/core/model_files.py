"""Opens `.keras` files, with errors that say what to do."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

# The first bytes of every HDF5 file.
_HDF5 = b"\x89HDF\r\n\x1a\n"
# Keras imports these packages by itself when a file names their classes.
_KNOWN = ("builtins", "keras", "keras_cv", "keras_hub", "keras_nlp")


def open_model(file: Path) -> Any:
    """Load a model that is not compiled, in safe mode.

    Args:
        file: An existing file.

    Raises:
        ValueError: If it is not a whole `.keras` file, or if it needs
            `safe_mode=False` or a custom class.
    """
    if not zipfile.is_zipfile(file):
        raise ValueError(_not_keras(file))
    _check_classes(file)
    try:
        return keras.models.load_model(file, compile=False)
    except Exception as error:
        raise ValueError(_damaged(file, error)) from error


def _not_keras(file: Path) -> str:
    """Return what to do about a file or folder of another format."""
    if file.is_dir():
        return (
            f"`{file}` is a folder, not a `.keras` file. A SavedModel cannot "
            "be changed or trained any more: save the Keras model it came "
            'from with `model.save("teacher.keras")`.'
        )
    with file.open("rb") as content:
        start = content.read(len(_HDF5))
    if start == _HDF5:
        return (
            f"`{file}` is an HDF5 file (`.h5`), the older format of Keras. "
            "Convert it once, in Python: "
            f'`keras.models.load_model("{file}", compile=False)'
            f'.save("{file.with_suffix(".keras")}")`. If it holds weights '
            "only (`.weights.h5`), build the model first and use "
            "`model.load_weights`."
        )
    return (
        f"`{file}` is not a whole `.keras` file: it is truncated, or of "
        f"another format ({file.stat().st_size} bytes). Save the model "
        'again with `model.save("teacher.keras")`.'
    )


def _check_classes(file: Path) -> None:
    """Refuse Python code in the file, and classes that nobody registered.

    Raises:
        ValueError: Names the layers or classes.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            config = json.loads(archive.read("config.json"))
    except (KeyError, ValueError, zipfile.BadZipFile):
        return  # Keras says what is wrong
    classes = list(_classes(config))
    if any(name in ("Lambda", "__lambda__") for name, _ in classes):
        raise ValueError(
            f"`{file}` holds a `Lambda` layer, whose Python code would run on "
            "loading. Replace the layer by one of `keras.layers` or a "
            "registered class and save again; or, if you trust the file, "
            "load it in Python with `keras.models.load_model(path, "
            "safe_mode=False)` and pass the model."
        )
    unknown = {
        name
        for _, name in classes
        if name is not None and keras.saving.get_registered_object(name) is None
    }
    if unknown:
        raise ValueError(
            f"`{file}` holds custom classes that Keras does not know: "
            f"{', '.join(sorted(unknown))}. Import the module that registers "
            "them before you load the file; on the command line, with "
            "`--import MODULE`. A class is registered by "
            "`@keras.saving.register_keras_serializable()`."
        )


def _classes(config: Any) -> Iterator[tuple[str, str | None]]:
    """Yield class name and registered name of all objects in a config."""
    if isinstance(config, list):
        for item in config:
            yield from _classes(item)
    elif isinstance(config, dict):
        kind, name = config.get("class_name"), config.get("registered_name")
        package = str(config.get("module")).partition(".")[0]
        # The name of a function may be one of Keras's own.
        if isinstance(kind, str) and kind != "function":
            yield kind, None if package in _KNOWN else name
        for key, item in config.items():
            # What a model was compiled with is not loaded.
            if key != "compile_config":
                yield from _classes(item)


def _damaged(file: Path, error: Exception) -> str:
    text = str(error).strip()
    first = text.splitlines()[0] if text else ""
    return (
        f"`{file}` cannot be loaded: {type(error).__name__}: {first} If the "
        "model has custom functions, import the module that registers them "
        "first; otherwise the file is damaged, or was saved by another "
        "version of Keras, and must be saved again."
    )
