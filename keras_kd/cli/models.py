"""Models for the commands: the user's files and the user's classes."""

import importlib
import importlib.util
import inspect
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from typing import Annotated

import typer

if TYPE_CHECKING:
    import keras

Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="MODULE",
        help="Python module (my_layers) or file (my_layers.py) that defines "
        "the custom layers of a model. May be given several times.",
    ),
]


def import_classes(modules: list[str] | None) -> None:
    """Import the user's modules, so that Keras finds the classes in them.

    Classes and functions that the modules do not register are found by their
    names, as with the argument `custom_objects` of `load_model`.

    Args:
        modules: Names, found from the current folder too, or `.py` files.

    Raises:
        ImportError: If one cannot be imported.
    """
    import keras

    for name in modules or []:
        try:
            module = _import(name)
        except Exception as error:
            raise ImportError(
                f"`--import {name}` needs a Python module or a `.py` file. It "
                f"cannot be imported: {type(error).__name__}: {error}"
            ) from error
        for key, value in vars(module).items():
            own = getattr(value, "__module__", None) == module.__name__
            if own and (inspect.isclass(value) or inspect.isfunction(value)):
                keras.saving.get_custom_objects().setdefault(key, value)


def load_student(path: Path) -> "keras.Model":
    """Load a student from a `.keras` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or needs a user's code to load.
    """
    from keras_kd import teachers

    if not path.exists():
        raise FileNotFoundError(
            f"No student at `{path}`. Give the path of a `.keras` file."
        )
    return teachers.load(path)


def _import(name: str) -> ModuleType:
    # A console script does not look for modules in the current folder.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    if not name.endswith(".py"):
        return importlib.import_module(name)
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(f"no file `{path}`")
    # A file may be called like a module of Python, `types.py`.
    alias = f"keras_kd_import_{path.stem}"
    spec = importlib.util.spec_from_file_location(alias, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no module in `{path}`")
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    spec.loader.exec_module(module)
    return module
