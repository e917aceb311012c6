"""The program `keras-kd`: one command per file, each calls one function.

Nothing heavy is imported here, so that `--help` answers at once; each command
imports what it needs when it runs.
"""

import os
import sys
from collections.abc import Callable
from typing import Annotated
from typing import Any

import typer
from typer.core import TyperCommand
from typer.core import TyperGroup

import keras_kd
from keras_kd.cli import cache
from keras_kd.cli import compress
from keras_kd.cli import distill
from keras_kd.cli import evaluate
from keras_kd.cli import export
from keras_kd.cli import losses
from keras_kd.cli import quickstart
from keras_kd.cli import report
from keras_kd.cli import search
from keras_kd.cli import verify
from keras_kd.cli.problems import EXPECTED
from keras_kd.cli.shell_words import in_shell_words
from keras_kd.cli.shell_words import option_names

_CALLED = "keras_kd.cli.called"
STOPPED = 130


class _Command(TyperCommand):
    """Notes that it was called, for messages in its own words."""

    def invoke(self, ctx: Any) -> Any:
        ctx.meta[_CALLED] = ctx
        return super().invoke(ctx)


class _OneLineErrors(TyperGroup):
    """Prints each expected error as one line and exits with 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        # `Exit` and `Abort` are RuntimeErrors, a `BrokenPipeError` is an
        # OSError: none of them is an error of the user.
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt as error:
            typer.echo("\nstopped", err=True)
            raise typer.Exit(STOPPED) from error
        except (*EXPECTED, ExceptionGroup) as error:
            if ctx.params["traceback"]:
                raise
            for one in getattr(error, "exceptions", (error,)):
                _print_error(str(one), ctx.meta.get(_CALLED))
            raise typer.Exit(1) from error


def _print_error(message: str, called: Any) -> None:
    if called is not None:
        name = called.command_path.partition(" ")[2]
        message = in_shell_words(message, name, option_names(called.command))
    typer.secho(f"error: {message}", fg=typer.colors.RED, err=True, bold=True)


app = typer.Typer(
    name="keras-kd",
    cls=_OneLineErrors,
    suggest_commands=True,
    epilog="Exit codes: 0 done; 1 an error, which is said; 2 wrong usage; 3 "
    "the file misses what was asked for; 130 stopped by Ctrl-C.",
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


_COMMANDS: tuple[Callable[..., None], ...] = (
    quickstart.quickstart,
    compress.compress,
    distill.distill,
    search.search,
    export.export,
    verify.verify,
    evaluate.evaluate,
    report.report,
    losses.losses,
)
for _command in _COMMANDS:
    app.command(cls=_Command)(_command)
_CACHE: tuple[Callable[..., None], ...] = (
    cache.build,
    cache.info,
    cache.verify,
)
for _command in _CACHE:
    cache.app.command(cls=_Command)(_command)
app.add_typer(cache.app, name="cache")


def main() -> None:
    """Run the command line; the process ends with 0, 1 or (usage) 2."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(app())
