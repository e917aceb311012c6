"""`keras-kd report`: the page of a run, made again."""

from pathlib import Path
from typing import Annotated

import typer

from keras_kd.cli.models import Imports
from keras_kd.cli.models import import_classes
from keras_kd.cli.printing import print_report
from keras_kd.cli.quiet import load_tensorflow


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            help="What quickstart, distill, search or compress wrote to."
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help="The data, if it was moved or `compress` got it in Python.",
            show_default="as the run had it",
        ),
    ] = None,
    without_data: Annotated[
        bool,
        typer.Option(
            "--without-data",
            help="Show only what results.json tells, if the data or the "
            "models are gone.",
        ),
    ] = False,
    imports: Imports = None,
) -> None:
    """Write report.html into the folder of a run.

    It names the smallest file within one point of the most accurate one as
    the one to ship.
    """
    load_tensorflow()
    from keras_kd import jobs

    import_classes(imports)
    print_report(jobs.report(folder, data=data, without_data=without_data))
