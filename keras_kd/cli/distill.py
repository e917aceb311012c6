"""`keras-kd distill`: from a teacher and a data set to a student's files."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated

import typer

from keras_kd.cli import printing
from keras_kd.cli.measuring import measure
from keras_kd.cli.measuring import print_rows
from keras_kd.cli.quiet import load_tensorflow
from keras_kd.cli.training import Recipe
from keras_kd.cli.training import load_student
from keras_kd.cli.training import save_keras
from keras_kd.core.checks import requirement
from keras_kd.core.files import check_writable
from keras_kd.core.progress import Progress

if TYPE_CHECKING:
    import keras


def distill(  # noqa: PLR0913 (one option a line)
    teacher: Annotated[Path, typer.Argument(help="A .keras file.")],
    dataset: Annotated[
        str, typer.Option(help="'digits', or a TensorFlow Datasets name.")
    ],
    student: Annotated[
        str, typer.Option(help="shrink:WIDTH, or a .keras file.")
    ] = "shrink:0.25",
    alpha: Annotated[
        float, typer.Option(help="Weight of the distillation part, 0 to 1.")
    ] = 0.9,
    temperature: Annotated[
        float, typer.Option(help="Softens the teacher's probabilities.")
    ] = 4.0,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs.")] = 20,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Examples a step, over all devices.")
    ] = 64,
    learning_rate: Annotated[
        float, typer.Option(help="Adam's, at the start of a cosine.")
    ] = 2e-3,
    max_train: Annotated[
        int | None, typer.Option(min=1, help="Training images to keep.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed.")] = 0,
    strategy: Annotated[
        str, typer.Option(help="none, or mirrored: every GPU.")
    ] = "none",
    quantization: Annotated[
        list[str] | None,
        typer.Option(
            help="A .tflite file to write: float32, float16, dynamic_range "
            "or int8. May be given several times. [default: float32, int8]"
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the files.")] = Path(
        "distilled"
    ),
    as_json: printing.Json = False,
) -> None:
    """Distil a teacher into a small student, and export the student."""
    check_writable(output / "student.keras")
    load_tensorflow()
    import keras

    import keras_kd

    keras.utils.set_random_seed(seed)
    splits = keras_kd.data.load(
        dataset, batch_size=batch_size, seed=seed, max_train=max_train
    )
    large = keras_kd.teachers.load(teacher)
    chosen = keras_kd.strategies.strategy(strategy, batch_size=batch_size)
    with Progress() as progress:
        with chosen.scope():
            small = make_student(student, large)
            distiller = keras_kd.Distiller(
                large, small, alpha=alpha, temperature=temperature
            )
            recipe = Recipe(learning_rate, epochs, len(splits.train), progress)
            recipe.fit(distiller, splits.train, "student")
        save_keras(small, output / "student.keras")
        with progress.stage("export and verify"):
            checks = keras_kd.export.tflite_files(
                small,
                {
                    kind: output / f"student_{kind}.tflite"
                    for kind in quantization or ["float32", "int8"]
                },
                calibration=splits.train.map(lambda x, y: x),
                verify=splits.test,
            )
        files = {"teacher": teacher, "student": output / "student.keras"}
        files |= {kind: Path(check.path) for kind, check in checks.items()}
        rows = measure(files, checks, splits.test, teacher, progress)
    if as_json:
        printing.print_json([asdict(row) for row in rows])
    else:
        print_rows(rows)


def make_student(text: str, teacher: "keras.Model") -> "keras.Model":
    """Return a student from `shrink:WIDTH` or from a `.keras` file."""
    from keras_kd import students

    how, _, width = text.partition(":")
    if how == "shrink":
        if not re.fullmatch(r"\d*\.?\d+", width):
            raise ValueError(
                requirement(
                    "distill",
                    "student",
                    "shrink:WIDTH, such as shrink:0.25, or a .keras file",
                    text,
                )
            )
        return students.shrink(teacher, width=float(width))
    return load_student(Path(text))
