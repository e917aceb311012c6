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

from keras_kd.core.checks import check_choice

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


def check_output(command: str, argument: str, kind: str | None) -> None:
    """Check `--teacher-output` or `--student-output`.

    Raises:
        ValueError: If it is not a kind of output.
    """
    from keras_kd.core.output_kinds import KINDS

    if kind is not None:
        check_choice(command, argument, kind, KINDS)


def load_teacher(path: Path, output: str | None) -> "keras.Model":
    """Load a teacher, and note what it returns on it and what is made of it.

    Args:
        path: A `.keras` file.
        output: What `--teacher-output` says.
    """
    from keras_kd import teachers
    from keras_kd.core.output_kinds import remember

    teacher = teachers.load(path)
    if output is not None:
        remember(teacher, [output])
    return teacher


def kind_of(model: "keras.Model") -> str | None:
    """Return what a model of one output was found to return, if anything."""
    from keras_kd.core.output_kinds import remembered

    return next(iter(remembered(model)), None)


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
