"""`keras-kd evaluate`: measure a model or a file on a data set."""

import json
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
from keras_kd.cli.models import StudentOutput
from keras_kd.cli.models import TeacherOutput
from keras_kd.cli.models import import_classes
from keras_kd.cli.problems import Problems
from keras_kd.cli.quiet import load_tensorflow
from keras_kd.core.checks import check_choice
from keras_kd.jobs.data import check_data
from keras_kd.jobs.data import check_kind
from keras_kd.jobs.data import check_scale
from keras_kd.jobs.data import load_data
from keras_kd.jobs.data import taker_of_file
from keras_kd.jobs.models import check_output


def evaluate(  # noqa: PLR0913 (one option a line)
    path: Annotated[
        Path, typer.Argument(help="A .keras or .tflite file, or a SavedModel.")
    ],
    data: Data,
    teacher: Annotated[
        Path | None,
        typer.Option(help="Like PATH; adds the agreement with it."),
    ] = None,
    teacher_output: TeacherOutput = None,
    student_output: StudentOutput = None,
    scale: Scale = None,
    kind: Kind = None,
    label: Label = None,
    imports: Imports = None,
    threads: Annotated[
        int, typer.Option(min=1, help="Threads of the LiteRT runtime.")
    ] = 1,
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            help="What runs a .tflite file: litert, litert-reference or tflm "
            "(TFLite Micro). May be given several times.",
            show_default="litert",
        ),
    ] = None,
    as_json: printing.Json = False,
) -> None:
    """Measure accuracy, size and latency on a data set's test examples."""
    load_tensorflow()
    import keras_kd
    from keras_kd.evaluation.runtimes import ON_TFLITE

    problems = Problems()
    with problems:
        check_scale("evaluate", scale)
    with problems:
        check_kind("evaluate", kind)
    with problems:
        import_classes(imports)
    for name, file in {"model": path, "teacher": teacher}.items():
        if file is not None and not file.exists():
            with problems:
                raise FileNotFoundError(f"No {name} at `{file}`.")
    with problems:
        check_data(data)
    with problems:
        check_output("evaluate", "teacher_output", teacher_output)
    with problems:
        check_output("evaluate", "student_output", student_output)
    for name in runtime or []:
        with problems:
            check_choice("evaluate", "runtime", name, ON_TFLITE)
    problems.check()
    splits = load_data(
        data,
        taker_of_file(path, student_output),
        file=path,
        scale=scale,
        kind=kind,
        label=label,
    )
    found = keras_kd.evaluate(
        path,
        splits.test,
        teacher=teacher,
        num_threads=threads,
        teacher_output=teacher_output,
        model_output=student_output,
        runtime=runtime,
    )
    if as_json:
        typer.echo(found.to_json(indent=2))
        return
    values = json.loads(found.to_json())
    columns = values.pop("runtimes") or {"value": values}
    printing.print_table(
        ("measure", *columns),
        [
            (
                name,
                *(
                    printing.measure(name, one[name])
                    for one in columns.values()
                ),
            )
            for name in values
            if any(_is_shown(one[name]) for one in columns.values())
        ],
    )


def _is_shown(value: Any) -> bool:
    return value is not None and not isinstance(value, list)
