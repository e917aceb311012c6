"""`keras-kd export`: writes a student as a verified file."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from keras_kd.cli import printing
from keras_kd.cli.quiet import load_tensorflow
from keras_kd.cli.training import load_student
from keras_kd.core.checks import requirement


def export(
    student: Annotated[Path, typer.Argument(help="A .keras file.")],
    output: Annotated[
        Path,
        typer.Argument(
            help="The file to write: a name that ends in .tflite or .onnx, or "
            "a folder for a SavedModel."
        ),
    ],
    quantization: Annotated[
        str | None,
        typer.Option(
            help="float32, float16, dynamic_range, int8, int16x8 or "
            "int4_weights; for .tflite."
        ),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            help="Data set whose training images int8 and int16x8 take their "
            "ranges from; on its test images the file is compared with the "
            "student."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Text file, one class name a line; for .tflite."),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Largest difference, as a share of the range."),
    ] = None,
    as_json: printing.Json = False,
) -> None:
    """Export a student; the file is named once it was loaded and compared."""
    is_tflite = output.suffix == ".tflite"
    only = {"quantization": quantization, "labels": labels}
    for name, value in only.items():
        if value is not None and not is_tflite:
            raise ValueError(
                requirement(
                    "export",
                    "output",
                    f"a name that ends in .tflite for {name} {str(value)!r}",
                    str(output),
                )
            )
    names = None if labels is None else labels.read_text("utf-8").splitlines()
    load_tensorflow()
    import keras_kd

    model = load_student(student)
    images = test = None
    if calibration is not None:
        splits = keras_kd.data.load(calibration)
        images, test = splits.train.map(lambda x, y: x), splits.test
    if is_tflite:
        check = keras_kd.export.tflite(
            model,
            output,
            quantization,
            images,
            test,
            tolerance=tolerance,
            labels=names,
        )
    else:
        onnx = output.suffix == ".onnx"
        kind = keras_kd.export.onnx if onnx else keras_kd.export.saved_model
        check = kind(model, output, verify=test, tolerance=tolerance)
    printing.print_check(asdict(check), as_json)
