"""`keras-kd distill`: from a teacher and a data set to a student's files."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from keras_kd.cli import printing
from keras_kd.cli.config import Config
from keras_kd.cli.config import write_config
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
from keras_kd.core.checks import check_number
from keras_kd.core.files import check_writable
from keras_kd.core.progress import Progress
from keras_kd.jobs.data import check_data
from keras_kd.jobs.data import check_kind
from keras_kd.jobs.data import check_scale
from keras_kd.jobs.models import check_output
from keras_kd.jobs.models import load_teacher
from keras_kd.jobs.outputs import check_unused
from keras_kd.jobs.reporting import report_on_run
from keras_kd.jobs.students import check_student


def distill(  # noqa: PLR0913 (one option a line)
    context: typer.Context,
    teacher: Annotated[Path, typer.Argument(help="A .keras file.")],
    data: Data,
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
    ] = 1.0,
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
    kind: Kind = None,
    label: Label = None,
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
    config: Config = None,
    as_json: printing.Json = False,
) -> None:
    """Distil a teacher into a small student, and export the student."""
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
        check_kind("distill", kind)
    with problems:
        check_student("distill", student)
    load_tensorflow()
    import keras_kd
    from keras_kd.export.kinds import QUANTIZATIONS

    with problems:
        for name in kinds:
            check_choice("distill", "quantization", name, QUANTIZATIONS)
    with problems:
        check_unused(output, teacher, overwrite=overwrite)
    with problems:
        chosen = keras_kd.strategies.strategy(strategy, batch_size=batch_size)
    with problems:
        import_classes(imports)
    with problems:
        large = load_teacher(teacher, teacher_output)
    with problems:
        check_data(data)
    with problems:
        check_output("distill", "teacher_output", teacher_output)
    with problems:
        check_output("distill", "student_output", student_output)
    problems.check()
    from keras_kd.jobs.distilling import DistillSetting
    from keras_kd.jobs.distilling import distill as run

    setting = DistillSetting(
        teacher=str(teacher),
        dataset=data,
        student=student,
        alpha=alpha,
        temperature=temperature,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        max_train=max_train,
        seed=seed,
        quantization=tuple(kinds),
        teacher_output=teacher_output,
        student_output=student_output,
        scale=scale,
        kind=kind,
        label=label,
    )
    with Progress() as progress:
        result = run(setting, large, output, progress, strategy=chosen)
    page = report_on_run(output)
    write_config(context, output)
    if as_json:
        printing.print_json([asdict(row) for row in result.rows])
    else:
        printing.print_rows(result.rows)
        typer.echo(f"\nFiles and results.json: {output}/")
        printing.print_report(page)
