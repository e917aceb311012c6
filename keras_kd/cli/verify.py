"""`keras-kd verify`: compares an exported file with its student."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from keras_kd.cli import printing
from keras_kd.cli.data import Data
from keras_kd.cli.data import Kind
from keras_kd.cli.data import Label
from keras_kd.cli.data import Scale
from keras_kd.cli.models import Imports
from keras_kd.cli.models import import_classes
from keras_kd.cli.problems import Problems
from keras_kd.cli.quiet import load_tensorflow
from keras_kd.jobs.data import as_bytes
from keras_kd.jobs.data import check_data
from keras_kd.jobs.data import check_kind
from keras_kd.jobs.data import check_scale
from keras_kd.jobs.data import from_bytes
from keras_kd.jobs.data import load_data
from keras_kd.jobs.models import load_student


def verify(  # noqa: PLR0913 (one option a line)
    path: Annotated[
        Path, typer.Argument(help="A .tflite or .onnx file, or a SavedModel.")
    ],
    student: Annotated[
        Path, typer.Argument(help="The .keras file that it was made from.")
    ],
    data: Data,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Largest difference of an output that passes, as a share of "
            "the range of the student's outputs."
        ),
    ] = None,
    max_accuracy_loss: Annotated[
        float | None,
        typer.Option(help="Largest loss of accuracy: 0.01 is one point."),
    ] = None,
    num_examples: Annotated[
        int | None,
        typer.Option(min=1, help="Examples to compare.", show_default="all"),
    ] = None,
    scale: Scale = None,
    kind: Kind = None,
    label: Label = None,
    imports: Imports = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            help="Runtime in which the file has to pass: litert, "
            "litert-reference or tflm (TFLite Micro) for .tflite. May be "
            "given several times.",
            show_default="the usual one",
        ),
    ] = None,
    as_json: printing.Json = False,
) -> None:
    """Compare a file with its student; the exit code is 1 if it fails."""
    load_tensorflow()
    import keras_kd

    problems = Problems()
    with problems:
        check_scale("verify", scale)
    with problems:
        check_kind("verify", kind)
    with problems:
        import_classes(imports)
    with problems:
        model = load_student(student)
    if not path.exists():
        with problems:
            raise FileNotFoundError(f"No file to verify at `{path}`.")
    with problems:
        check_data(data)
    problems.check()
    splits = load_data(
        data, model, file=student, scale=scale, kind=kind, label=label
    )
    takes_bytes = _takes_bytes(path)
    check = keras_kd.export.verify(
        path,
        model,
        (as_bytes(splits) if takes_bytes else splits).test,
        tolerance=tolerance,
        max_accuracy_loss=max_accuracy_loss,
        num_examples=num_examples,
        preprocess=from_bytes(splits.scale) if takes_bytes else None,
        runtime=runtime,
    )
    printing.print_check(asdict(check), as_json)


def _takes_bytes(path: Path) -> bool:
    from keras_kd.evaluation.litert import LiteRTModel

    if path.suffix != ".tflite":
        return False
    details = LiteRTModel(path).input_details
    return [detail.dtype for detail in details] == ["uint8"]
