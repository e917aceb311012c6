"""`keras-kd distill`: from a teacher and a data set to a student's files."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated
from typing import Any

import typer

from keras_kd.cli import printing
from keras_kd.cli.images import Scale
from keras_kd.cli.images import check_data
from keras_kd.cli.images import check_scale
from keras_kd.cli.images import fitted
from keras_kd.cli.job import machine
from keras_kd.cli.measuring import measure
from keras_kd.cli.measuring import print_rows
from keras_kd.cli.models import Imports
from keras_kd.cli.models import StudentOutput
from keras_kd.cli.models import TeacherOutput
from keras_kd.cli.models import check_output
from keras_kd.cli.models import import_classes
from keras_kd.cli.models import kind_of
from keras_kd.cli.models import load_teacher
from keras_kd.cli.outputs import check_unused
from keras_kd.cli.outputs import remove_earlier
from keras_kd.cli.problems import Problems
from keras_kd.cli.quiet import load_tensorflow
from keras_kd.cli.students import check_student
from keras_kd.cli.students import make_student
from keras_kd.cli.training import Recipe
from keras_kd.cli.training import save_keras
from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_number
from keras_kd.core.files import check_writable
from keras_kd.core.files import write_text
from keras_kd.core.progress import Progress


def distill(  # noqa: PLR0913 (one option a line)
    context: typer.Context,
    teacher: Annotated[Path, typer.Argument(help="A .keras file.")],
    dataset: Annotated[
        str, typer.Option(help="'digits', or a TensorFlow Datasets name.")
    ],
    student: Annotated[
        str,
        typer.Option(
            help="shrink:WIDTH for the teacher made smaller, a family such as "
            "mobilenet_v2 or mobilenet_v2:WIDTH, or a .keras file."
        ),
    ] = "shrink:0.25",
    alpha: Annotated[
        float, typer.Option(help="Weight of the distillation part, 0 to 1.")
    ] = 0.9,
    temperature: Annotated[
        float, typer.Option(help="Softens the teacher's probabilities.")
    ] = 4.0,
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs.")] = 20,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Examples per step, over all devices.")
    ] = 64,
    learning_rate: Annotated[
        float,
        typer.Option(help="First learning rate of Adam; it decays to 0."),
    ] = 2e-3,
    max_train: Annotated[
        int | None,
        typer.Option(min=1, help="Training images to use."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the weights and the order.")
    ] = 0,
    strategy: Annotated[
        str, typer.Option(help="none, or mirrored to use every GPU.")
    ] = "none",
    quantization: Annotated[
        list[str] | None,
        typer.Option(
            help="Kind of .tflite file to write: float32, float16, "
            "dynamic_range, int8 or int16x8. May be given several times.",
            show_default="float32, int8",
        ),
    ] = None,
    teacher_output: TeacherOutput = None,
    student_output: StudentOutput = None,
    scale: Scale = None,
    imports: Imports = None,
    output: Annotated[Path, typer.Option(help="Folder for the files.")] = Path(
        "distilled"
    ),
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace the files of an earlier run."
        ),
    ] = False,
    as_json: printing.Json = False,
) -> None:
    """Distil a teacher into a small student, and export the student."""
    started = time.perf_counter()
    kinds = quantization or ["float32", "int8"]
    problems = Problems()
    with problems:
        check_writable(output / "student.keras")
    with problems:
        check_number("distill", "alpha", alpha, low=0, high=1)
    with problems:
        check_number("distill", "temperature", temperature, above=0)
    with problems:
        check_number("distill", "learning_rate", learning_rate, above=0)
    with problems:
        check_scale("distill", scale)
    with problems:
        check_student("distill", student)
    load_tensorflow()
    import keras

    import keras_kd
    from keras_kd.export.kinds import QUANTIZATIONS

    keras.utils.set_random_seed(seed)
    with problems:
        for kind in kinds:
            check_choice("distill", "quantization", kind, QUANTIZATIONS)
    with problems:
        check_unused(output, teacher, overwrite=overwrite)
    with problems:
        chosen = keras_kd.strategies.strategy(strategy, batch_size=batch_size)
    with problems:
        import_classes(imports)
    with problems:
        large = load_teacher(teacher, teacher_output)
    with problems:
        check_data(dataset)
    with problems:
        check_output("distill", "teacher_output", teacher_output)
    with problems:
        check_output("distill", "student_output", student_output)
    problems.check()
    splits = keras_kd.data.load(
        dataset, batch_size=batch_size, seed=seed, max_train=max_train
    )
    splits, scale = fitted("distill", "teacher", large, splits, scale)
    with Progress() as progress:
        with chosen.scope():
            small = make_student(student, large, splits, scale)
            distiller = keras_kd.Distiller(
                large,
                small,
                alpha=alpha,
                temperature=temperature,
                teacher_output=teacher_output,
                student_output=student_output,
            )
            recipe = Recipe(learning_rate, epochs, len(splits.train), progress)
            history = recipe.fit(
                distiller,
                splits.train,
                "student",
                validation=splits.validation,
                output=student_output,
            )
        remove_earlier(output)
        save_keras(small, output / "student.keras")
        write_text(output / "history.json", _json(history))
        with progress.stage("export and verify"):
            checks = keras_kd.export.tflite_files(
                small,
                {kind: output / f"student_{kind}.tflite" for kind in kinds},
                calibration=splits.train.map(lambda x, y: x),
                verify=splits.test,
            )
        files = {"teacher": teacher, "student": output / "student.keras"}
        files |= {kind: Path(check.path) for kind, check in checks.items()}
        rows = measure(
            files,
            checks,
            splits.test,
            teacher,
            progress,
            teacher_output=teacher_output,
            student_output=kind_of(small),
        )
    results = {
        "setting": context.params | {"quantization": kinds, "scale": scale},
        "data": splits.describe(),
        "num_params": {
            "teacher": large.count_params(),
            "student": small.count_params(),
        },
        "rows": [asdict(row) for row in rows],
        "seconds": round(time.perf_counter() - started, 1),
        "machine": machine(),
    }
    write_text(output / "results.json", _json(results))
    if as_json:
        printing.print_json(results["rows"])
    else:
        print_rows(rows)
        typer.echo(f"\nFiles and results.json: {output}/")


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, default=str) + "\n"
