"""`keras-kd export`: a student as a verified file."""

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
            help="The file to write: a name that ends in .tflite, or a folder "
            "for a SavedModel."
        ),
    ],
    quantization: Annotated[
        str | None,
        typer.Option(
            help="float32, float16, dynamic_range or int8; for .tflite."
        ),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            help="Data set whose training images int8 takes its ranges from, "
            "and on which the file is compared with the student."
        ),
    ] = None,
    as_json: printing.Json = False,
) -> None:
    """Export a student; the file is named once it was loaded and compared."""
    if quantization is not None and output.suffix != ".tflite":
        raise ValueError(
            requirement(
                "export",
                "output",
                f"a name that ends in .tflite for {quantization!r}",
                str(output),
            )
        )
    load_tensorflow()
    import keras_kd

    model = load_student(student)
    images = None
    if calibration is not None:
        train = keras_kd.data.load(calibration).train
        images = train.map(lambda x, y: x)
    if output.suffix == ".tflite":
        check = keras_kd.export.tflite(model, output, quantization, images)
    else:
        check = keras_kd.export.saved_model(model, output, verify=images)
    if as_json:
        printing.print_json(asdict(check))
        return
    rows = asdict(check).items()
    printing.print_table(
        ("verified", ""),
        [(name, printing.measure(name, value)) for name, value in rows],
    )
