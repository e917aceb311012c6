"""`keras-kd compress`: from a teacher and data to the file to ship."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated

import typer

from keras_kd.cli import printing
from keras_kd.cli.config import Config
from keras_kd.cli.config import write_config
from keras_kd.cli.data import Data
from keras_kd.cli.data import Kind
from keras_kd.cli.data import Label
from keras_kd.cli.data import Scale
from keras_kd.cli.models import ArenaLimit
from keras_kd.cli.models import Imports
from keras_kd.cli.models import NpuTarget
from keras_kd.cli.models import TeacherOutput
from keras_kd.cli.models import import_classes
from keras_kd.cli.problems import Problems
from keras_kd.cli.quiet import load_tensorflow
from keras_kd.core.checks import check_choice
from keras_kd.core.files import check_writable
from keras_kd.core.progress import Progress
from keras_kd.core.progress import duration
from keras_kd.jobs.data import check_data
from keras_kd.jobs.data import check_kind
from keras_kd.jobs.data import check_scale
from keras_kd.jobs.models import check_output
from keras_kd.jobs.models import load_teacher
from keras_kd.jobs.students import STUDENTS

if TYPE_CHECKING:
    from keras_kd.jobs.compressed import Compressed
    from keras_kd.jobs.plan import Plan

# The exit code of a run whose file misses `--max-accuracy-loss`.
SHORTFALL = 3
_TIMES = {"s": 1 / 60, "min": 1.0, "h": 60.0}


def compress(  # noqa: PLR0913 (one option a line)
    context: typer.Context,
    teacher: Annotated[Path, typer.Argument(help="A .keras file.")],
    data: Data,
    budget: Annotated[
        str | None,
        typer.Option(help="Largest size of the .tflite file, such as 100kB."),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(
            help="Longest time for one example on this machine, such as 5ms."
        ),
    ] = None,
    arena: ArenaLimit = None,
    target: NpuTarget = None,
    max_accuracy_loss: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="Points of accuracy, of 100, that the file may lose. Without "
            "another limit the smallest such file is searched.",
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            help="Time for everything, such as 30min.",
            show_default="as long as 20 trials take",
        ),
    ] = None,
    student: Annotated[
        str,
        typer.Option(
            help="Whose width is searched: shrink (the teacher made smaller), "
            "or a family such as convnet or mobilenet_v2."
        ),
    ] = "shrink",
    trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Students that the search trains.",
            show_default="as planned",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Epochs of the best student's training; a trial has a third.",
            show_default="as planned",
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Examples per step.")
    ] = 64,
    learning_rate: Annotated[
        float, typer.Option(help="First learning rate of Adam; it decays to 0.")
    ] = 2e-3,
    max_train: Annotated[
        int | None, typer.Option(min=1, help="Training examples to use.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the proposals and weights.")
    ] = 0,
    teacher_output: TeacherOutput = None,
    scale: Scale = None,
    kind: Kind = None,
    label: Label = None,
    imports: Imports = None,
    output: Annotated[Path, typer.Option(help="Folder for the files.")] = Path(
        "compressed"
    ),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete an earlier result.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be done, and end."),
    ] = False,
    config: Config = None,
    as_json: printing.Json = False,
) -> None:
    """Make a verified int8 file of a teacher: search, train, export, measure.

    If it is interrupted, the same command resumes where it stopped. The exit
    code is 3 if the file loses more than --max-accuracy-loss.
    """
    problems = Problems()
    minutes = None
    with problems:
        check_choice("compress", "student", student, STUDENTS)
    with problems:
        check_scale("compress", scale)
    with problems:
        check_kind("compress", kind)
    with problems:
        check_writable(output / "student.keras")
    load_tensorflow()
    from keras_kd.jobs.compressed import make_setting
    from keras_kd.jobs.compressing import Job
    from keras_kd.search.cost import units

    with problems:
        if time is not None:
            minutes = units.quantity("compress", "time", time, _TIMES)
    with problems:
        setting = make_setting(
            teacher,
            data,
            size_bytes=budget,
            latency_ms=latency,
            arena_bytes=arena,
            target=target,
            max_accuracy_loss=max_accuracy_loss,
            minutes=minutes,
            student=student,
            trials=trials,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            max_train=max_train,
            seed=seed,
            scale=scale,
            kind=kind,
            label=label,
            teacher_output=teacher_output,
        )
    with problems:
        import_classes(imports)
    with problems:
        model = load_teacher(teacher, teacher_output)
    with problems:
        check_data(data)
    with problems:
        check_output("compress", "teacher_output", teacher_output)
    problems.check()
    with Progress() as progress:
        job = Job(setting, model, data, output, progress)
        if dry_run:
            _print_plan(job.plan(), minutes and 60 * minutes, as_json)
            return
        made = job.run(overwrite=overwrite)
    write_config(context, output)
    if as_json:
        typer.echo(made.to_json())
    else:
        _print(made, output)
    if made.shortfall:
        raise typer.Exit(SHORTFALL)


def _print_plan(plan: "Plan", limit: float | None, as_json: bool) -> None:
    if as_json:
        printing.print_json(dataclasses.asdict(plan))
    else:
        typer.echo(plan.sentence(limit))


def _print(made: "Compressed", output: Path) -> None:
    """Print the answer, then the measurements behind it."""
    typer.echo(made.answer() + "\n")
    if made.shortfall:
        typer.secho(made.shortfall + "\n", fg=typer.colors.YELLOW)
    printing.print_evaluations(made.evaluations)
    typer.echo(
        f"\nFiles and results.json: {output}/ ({duration(made.seconds)})"
    )
    printing.print_report(made.report_path)
