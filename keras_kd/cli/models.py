"""Options about models and files, and the classes of the user's own modules."""

import importlib
import importlib.util
import inspect
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="MODULE",
        help="Python module (my_layers) or file (my_layers.py) that defines "
        "the custom layers of a model. May be given several times.",
    ),
]

_KINDS_HELP = (
    "logits, probabilities, binary_logits or binary_probabilities (two "
    "classes in one unit, or labels), numbers, or embedding; needed if the "
    "file does not tell."
)
TeacherOutput = Annotated[
    str | None, typer.Option(help=f"The teacher's output: {_KINDS_HELP}")
]
StudentOutput = Annotated[
    str | None, typer.Option(help=f"The student's output: {_KINDS_HELP}")
]
ArenaLimit = Annotated[
    str | None,
    typer.Option(
        help="Largest arena of TFLite Micro, such as 40kB; for "
        "microcontrollers."
    ),
]

NpuTarget = Annotated[
    str | None,
    typer.Option(
        help="NPU, such as ethos-u55-128: --latency is then its time, "
        "as its compiler estimates it."
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
