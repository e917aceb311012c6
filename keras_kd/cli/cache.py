"""`keras-kd cache`: builds, shows and verifies teacher caches."""

from pathlib import Path
from typing import Annotated
from typing import Any

import typer

from keras_kd.cli import printing
from keras_kd.cli.data import Data
from keras_kd.cli.data import Kind
from keras_kd.cli.data import Label
from keras_kd.cli.data import Scale
from keras_kd.cli.models import Imports
from keras_kd.cli.models import TeacherOutput
from keras_kd.cli.models import import_classes
from keras_kd.cli.problems import Problems
from keras_kd.cli.quiet import load_tensorflow
from keras_kd.jobs.data import check_data
from keras_kd.jobs.data import check_kind
from keras_kd.jobs.data import check_scale
from keras_kd.jobs.data import load_data
from keras_kd.jobs.models import check_output
from keras_kd.jobs.models import load_teacher

app = typer.Typer(
    no_args_is_help=True,
    help="Compute a teacher's outputs once; look at them; check them.",
)
_Folder = Annotated[Path, typer.Argument(help="The folder of a cache.")]


def build(  # noqa: PLR0913 (one option a line)
    teacher: Annotated[Path, typer.Argument(help="A .keras file.")],
    data: Data,
    output: Annotated[Path, typer.Option(help="The folder of the cache.")],
    top_k: Annotated[
        int | None,
        typer.Option(min=1, help="Store the most likely classes only."),
    ] = None,
    dtype: Annotated[str, typer.Option(help="float16 or float32.")] = "float16",
    teacher_output: TeacherOutput = None,
    scale: Scale = None,
    kind: Kind = None,
    label: Label = None,
    imports: Imports = None,
    as_json: printing.Json = False,
) -> None:
    """Run a teacher over a data set's training examples and store its outputs.

    If it is interrupted, the same command resumes where it stopped.
    """
    load_tensorflow()
    import keras_kd

    problems = Problems()
    with problems:
        check_scale("cache build", scale)
    with problems:
        check_kind("cache build", kind)
    with problems:
        import_classes(imports)
    with problems:
        model = load_teacher(teacher, teacher_output)
    with problems:
        check_data(data)
    with problems:
        check_output("cache build", "teacher_output", teacher_output)
    problems.check()
    splits = load_data(data, model, scale=scale, kind=kind, label=label)
    cache = keras_kd.TeacherCache.build(
        output,
        model,
        splits.train,
        top_k=top_k,
        dtype=dtype,
        teacher_output=teacher_output,
    )
    _print(cache.info(), as_json)


def info(folder: _Folder, as_json: printing.Json = False) -> None:
    """Show what a cache holds."""
    load_tensorflow()
    import keras_kd

    _print(keras_kd.TeacherCache.open(folder).info(), as_json)


def verify(folder: _Folder, as_json: printing.Json = False) -> None:
    """Read every byte of a cache and compare checksums."""
    load_tensorflow()
    import keras_kd

    cache = keras_kd.TeacherCache.open(folder)
    cache.verify()
    _print({"verified": True} | cache.info(), as_json)


def _print(content: dict[str, Any], as_json: bool) -> None:
    if as_json:
        printing.print_json(content)
        return
    # Structures are printed only as JSON.
    rows = [
        (name, printing.measure(name, value))
        for name, value in content.items()
        if value is not None and not isinstance(value, dict)
    ]
    printing.print_table(("cache", ""), rows)
