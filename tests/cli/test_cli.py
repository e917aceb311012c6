"""Exit codes, and errors in one line."""

import pytest
import typer
from typer.testing import CliRunner

import keras_kd
from keras_kd.cli import app


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.fixture
def broken(monkeypatch):
    """Make `keras-kd losses` raise an error."""

    def make(error):
        def fail():
            raise error

        monkeypatch.setattr("keras_kd.cli.losses.methods", fail)

    return make


@pytest.mark.parametrize(
    "error",
    [
        ValueError("the reason"),
        TypeError("the reason"),
        OSError("the reason"),
        ImportError("the reason"),
        keras_kd.ExportMismatchError("the reason"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_expected_error_is_one_line_and_exit_code_1(run, broken, error):
    broken(error)
    result = run("losses")
    assert result.exit_code == 1
    assert result.stderr == "error: the reason\n"
    assert result.stdout == ""


def test_a_bug_keeps_its_traceback(run, broken):
    broken(ZeroDivisionError("a bug"))
    assert isinstance(run("losses").exception, ZeroDivisionError)


@pytest.mark.parametrize("how", ["option", "environment"])
def test_traceback_shows_where_an_error_came_from(
    run, broken, monkeypatch, how
):
    error = ValueError("the reason")
    broken(error)
    if how == "environment":
        monkeypatch.setenv("KERAS_KD_DEBUG", "1")
        result = run("losses")
    else:
        result = run("--traceback", "losses")
    assert result.exception is error


def test_leaving_early_is_no_error(run, broken):
    broken(typer.Exit(3))
    result = run("losses")
    assert result.exit_code == 3
    assert result.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [["losses", "--bad"], ["bad"], ["evaluate"]],
    ids=["option", "command", "argument"],
)
def test_wrong_usage_is_exit_code_2(run, arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def test_version(run):
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout == f"keras-kd {keras_kd.__version__}\n"
