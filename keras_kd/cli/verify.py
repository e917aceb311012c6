"""`keras-kd verify`: compares an exported file with its student."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from keras_kd.cli import printing
from keras_kd.cli.quiet import load_tensorflow
from keras_kd.cli.training import load_student


def verify(
    path: Annotated[
        Path, typer.Argument(help="A .tflite or .onnx file, or a SavedModel.")
    ],
    student: Annotated[
        Path, typer.Argument(help="The .keras file that it was made from.")
    ],
    dataset: Annotated[
        str,
        typer.Option(
            help="'digits', or a TensorFlow Datasets name: its test images."
        ),
    ],
    tolerance: Annotated[
        float | None,
        typer.Option(help="Largest difference, as a share of the range."),
    ] = None,
    max_accuracy_loss: Annotated[
        float | None,
        typer.Option(help="Most accuracy to lose: 0.01 is one point."),
    ] = None,
    num_examples: Annotated[
        int | None, typer.Option(min=1, help="Most images; all by default.")
    ] = None,
    as_json: printing.Json = False,
) -> None:
    """Compare a file with its student; the exit code is 1 if it fails."""
    load_tensorflow()
    import keras_kd

    check = keras_kd.export.verify(
        path,
        load_student(student),
        keras_kd.data.load(dataset).test,
        tolerance=tolerance,
        max_accuracy_loss=max_accuracy_loss,
        num_examples=num_examples,
    )
    printing.print_check(asdict(check), as_json)
