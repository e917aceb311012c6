"""`keras-kd search`: the best student that fits a device, as a file."""

import json
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Any

import typer

from keras_kd.cli import printing
from keras_kd.cli.config import Config
from keras_kd.cli.config import write_config
from keras_kd.cli.data import Data
from keras_kd.cli.data import Kind
from keras_kd.cli.data import Label
from keras_kd.cli.data import Scale
from keras_kd.cli.found import print_found
from keras_kd.cli.models import ArenaLimit
from keras_kd.cli.models import Imports
from keras_kd.cli.models import NpuTarget
from keras_kd.cli.models import TeacherOutput
from keras_kd.cli.models import import_classes
from keras_kd.cli.problems import Problems
from keras_kd.cli.quiet import load_tensorflow
from keras_kd.core.checks import check_choice
from keras_kd.core.files import check_writable
from keras_kd.core.files import write_text
from keras_kd.jobs.data import check_data
from keras_kd.jobs.data import check_kind
from keras_kd.jobs.data import check_scale
from keras_kd.jobs.models import check_output
from keras_kd.jobs.models import load_teacher
from keras_kd.jobs.outputs import check_unused
from keras_kd.jobs.reporting import report_on_run
from keras_kd.jobs.students import STUDENTS

if TYPE_CHECKING:
    from keras_kd.jobs.searching import Found
    from keras_kd.search import Budget

_DEFAULT_QUANTIZATION = "int8"


def search(  # noqa: PLR0913 (one option a line)
    context: typer.Context,
    teacher: Annotated[Path, typer.Option(help="A .keras file.")],
    data: Data,
    budget: Annotated[
        str | None,
        typer.Option(help="Largest size of the .tflite file, such as 50kB."),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(
            help="Longest time for one image on this machine, such as 2ms."
        ),
    ] = None,
    arena: ArenaLimit = None,
    target: NpuTarget = None,
    budget_file: Annotated[
        Path | None,
        typer.Option(
            help="JSON file with the fields of keras_kd.Budget; options on "
            "the command line take precedence."
        ),
    ] = None,
    quantization: Annotated[
        str | None,
        typer.Option(
            help="Kind of the file: float32, float16, dynamic_range or int8.",
            show_default="the budget file's, or int8",
        ),
    ] = None,
    student: Annotated[
        str,
        typer.Option(
            help="Whose width is searched: shrink (the teacher made smaller), "
            "or a family such as convnet or mobilenet_v2."
        ),
    ] = "shrink",
    tuner: Annotated[
        str, typer.Option(help="bayesian, random, hyperband or grid.")
    ] = "bayesian",
    max_trials: Annotated[
        int,
        typer.Option(
            min=1, help="Number of trials, those over the budget included."
        ),
    ] = 30,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs per trial.")] = 20,
    executions_per_trial: Annotated[
        int,
        typer.Option(min=1, help="Training runs per trial; their mean counts."),
    ] = 1,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Examples per step.")
    ] = 64,
    learning_rate: Annotated[
        float, typer.Option(help="First learning rate of Adam; it decays to 0.")
    ] = 2e-3,
    max_train: Annotated[
        int | None,
        typer.Option(min=1, help="Training images to use."),
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
        "search"
    ),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete an earlier search.")
    ] = False,
    config: Config = None,
    as_json: printing.Json = False,
) -> None:
    """Search alpha, temperature and width for the best student of a budget.

    Students over the budget are measured but not trained. If the search is
    interrupted, the same command resumes it where it stopped.
    """
    problems = Problems()
    with problems:
        allowed = read_budget(
            budget_file,
            size_bytes=budget,
            latency_ms=latency,
            arena_bytes=arena,
            target=target,
            quantization=quantization,
        )
    with problems:
        check_choice("search", "student", student, STUDENTS)
    with problems:
        check_scale("search", scale)
    with problems:
        check_kind("search", kind)
    with problems:
        check_writable(output / "results.json")
    load_tensorflow()
    from keras_kd.jobs.searching import SearchSetting
    from keras_kd.jobs.searching import search as run
    from keras_kd.search.oracles.making import ORACLES

    with problems:
        check_choice("search", "tuner", tuner, ORACLES)
    if not (output / "setting.json").exists():
        with problems:
            check_unused(output, teacher, overwrite=overwrite)
    with problems:
        import_classes(imports)
    with problems:
        model = load_teacher(teacher, teacher_output)
    with problems:
        check_data(data)
    with problems:
        check_output("search", "teacher_output", teacher_output)
    problems.check()
    setting = SearchSetting(
        teacher=str(teacher),
        dataset=data,
        budget=allowed.to_dict(),
        student=student,
        tuner=tuner,
        max_trials=max_trials,
        epochs=epochs,
        executions_per_trial=executions_per_trial,
        batch_size=batch_size,
        learning_rate=learning_rate,
        max_train=max_train,
        seed=seed,
        scale=scale,
        kind=kind,
        label=label,
        teacher_output=teacher_output,
    )
    found = run(setting, model, output, overwrite=overwrite)
    write_config(context, output)
    _report(found, output, as_json)


def read_budget(file: Path | None, **options: str | None) -> "Budget":
    """Return the budget of a file, of options, or of both.

    Args:
        file: JSON for `keras_kd.Budget.from_dict`.
        **options: Texts for the arguments of `keras_kd.Budget`; `None` for
            the value in `file`. `quantization` is int8 if neither has it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no limit, or a limit is not a quantity.
    """
    import keras_kd

    content = {} if file is None else _read(file)
    content.setdefault("quantization", _DEFAULT_QUANTIZATION)
    content |= {k: v for k, v in options.items() if v is not None}
    if not content.keys() - {"quantization", "target", "for"}:
        raise ValueError(
            "`search` needs a budget. Give --budget 50kB, --latency 2ms, "
            "--arena 40kB or --budget-file FILE."
        )
    return keras_kd.Budget.from_dict(content)


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise FileNotFoundError(
            f"No budget at `{file}`. Give the path of a JSON file such as "
            '{"size_bytes": "50kB", "latency_ms": "2ms"}.'
        )
    try:
        content = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"The budget `{file}` is not valid JSON: {error}."
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            f"The budget `{file}` has to be an object with the limits by "
            'name, such as {"size_bytes": "50kB"}.'
        )
    return content


def _report(found: "Found", output: Path, as_json: bool) -> None:
    write_text(output / "results.json", found.to_json() + "\n")
    page = report_on_run(output)
    if as_json:
        typer.echo(found.to_json())
    else:
        print_found(found, output)
        printing.print_report(page)
