"""The program `keras-kd`: one command per file, each calls one function.

Nothing heavy is imported here, so that `--help` answers at once; each command
imports what it needs when it runs.
"""

import os
import sys
from typing import Annotated
from typing import Any

import typer
from typer.core import TyperGroup

import keras_kd
from keras_kd.cli import cache
from keras_kd.cli import distill
from keras_kd.cli import evaluate
from keras_kd.cli import export
from keras_kd.cli import losses
from keras_kd.cli import quickstart
from keras_kd.cli import search
from keras_kd.cli import verify

# Errors that the package raises for input it cannot use; the user can fix them.
_EXPECTED = (
    FloatingPointError,  # a loss that is not finite
    ImportError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class _OneLineErrors(TyperGroup):
    """Prints an expected error as one line and exits with 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        # `Exit` and `Abort` are RuntimeErrors, a `BrokenPipeError` is an
        # OSError: none of them is an error of the user.
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except _EXPECTED as error:
            if ctx.params["traceback"]:
                raise
            typer.secho(
                f"error: {error}", fg=typer.colors.RED, err=True, bold=True
            )
            raise typer.Exit(1) from error


app = typer.Typer(
    name="keras-kd",
    cls=_OneLineErrors,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"keras-kd {keras_kd.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    traceback: Annotated[
        bool,
        typer.Option(
            "--traceback",
            envvar="KERAS_KD_DEBUG",
            help="Show where an error came from.",
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """Teacher in, verified device file out: distillation for Keras."""


app.command()(quickstart.quickstart)
app.command()(distill.distill)
app.command()(search.search)
app.command()(export.export)
app.command()(verify.verify)
app.command()(evaluate.evaluate)
app.command()(losses.losses)
app.add_typer(cache.app, name="cache")


def main() -> None:
    """Run the command line; the process ends with 0, 1 or (usage) 2."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(app())
