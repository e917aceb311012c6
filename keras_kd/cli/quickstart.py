"""`keras-kd quickstart`: the whole job on one data set, in one table."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from keras_kd.cli import printing
from keras_kd.cli.config import Config
from keras_kd.cli.config import write_config
from keras_kd.cli.data import Data
from keras_kd.cli.printing import print_rows
from keras_kd.cli.quiet import load_tensorflow
from keras_kd.core.checks import requirement
from keras_kd.core.files import write_text
from keras_kd.core.progress import Progress
from keras_kd.core.progress import duration
from keras_kd.jobs.reporting import report_on_run
from keras_kd.jobs.starting import Outcome
from keras_kd.jobs.starting import QuickstartSetting
from keras_kd.jobs.starting import quickstart as run_quickstart

# Settings that take a few minutes on two cores.
PRESETS = {
    "digits": QuickstartSetting("digits", labels=100, epochs=20),
    "mnist": QuickstartSetting("mnist", labels=100, epochs=6, max_train=10_000),
    "cifar10_jpeg": QuickstartSetting(
        "cifar10_jpeg", labels=1_000, epochs=8, max_train=10_000
    ),
}


def quickstart(  # noqa: PLR0913 (one option a line)
    context: typer.Context,
    data: Data = "digits",
    output: Annotated[Path, typer.Option(help="Folder for the files.")] = Path(
        "quickstart"
    ),
    labels: Annotated[
        str | None,
        typer.Option(
            help="Number of labelled images for the student that learns "
            "without a teacher; 'all' gives both students all labels."
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of each training run.")
    ] = None,
    max_train: Annotated[
        int | None,
        typer.Option(min=1, help="Training images to use."),
    ] = None,
    width: Annotated[
        float, typer.Option(help="Width of the student; the teacher's is 1.")
    ] = QuickstartSetting.width,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the run.")] = 0,
    config: Config = None,
    as_json: printing.Json = False,
) -> None:
    """Train a teacher, distil a student, export it, measure every file."""
    preset = PRESETS.get(
        data, dataclasses.replace(PRESETS["cifar10_jpeg"], dataset=data)
    )
    setting = dataclasses.replace(
        preset,
        labels=preset.labels if labels is None else parse_labels(labels),
        epochs=epochs or preset.epochs,
        max_train=max_train or preset.max_train,
        width=width,
        seed=seed,
    )
    load_tensorflow()
    with Progress() as progress:
        outcome = run_quickstart(setting, output, progress)
    write_text(output / "results.json", outcome.to_json() + "\n")
    page = report_on_run(output)
    write_config(context, output)
    if as_json:
        typer.echo(outcome.to_json())
    else:
        print_outcome(outcome, output)
        printing.print_report(page)


def parse_labels(text: str) -> int | None:
    """Return the number of labelled images; `None` for all of them."""
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(
            requirement("quickstart", "labels", "a count or 'all'", text)
        )
    return int(text)


def print_outcome(outcome: Outcome, output: Path) -> None:
    """Print the summary, the table and the folder of the files."""
    typer.echo("\n".join(outcome.sentences) + "\n")
    print_rows(outcome.rows)
    taken = duration(outcome.seconds)
    typer.echo(f"\nFiles and results.json: {output}/ ({taken})")
