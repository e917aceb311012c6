"""`--teacher-output` and `--student-output`, for files that do not tell."""

import json

import keras
import pytest
from typer.testing import CliRunner

from keras_kd.cli import app


def run(*arguments):
    words = [*map(str, arguments), "--dataset", "digits"]
    return CliRunner().invoke(app, words)


@pytest.fixture
def silent(tmp_path):
    """A model whose last layer may give anything."""
    stack = [
        keras.Input((8, 8, 1)),
        keras.layers.Flatten(),
        keras.layers.Dense(16, "relu"),
        keras.layers.Dense(10),
        keras.layers.Activation("gelu"),
    ]
    path = tmp_path / "silent.keras"
    keras.Sequential(stack).save(path)
    return path


def arguments_of(command, silent, output):
    to = ("--output", output)
    return {
        "distill": ("distill", silent, *to),
        "search": ("search", "--teacher", silent, "--budget", "50kB", *to),
        "cache": ("cache", "build", silent, *to),
        "evaluate": ("evaluate", silent, "--teacher", silent),
    }[command]


@pytest.mark.parametrize("command", ["distill", "search", "cache", "evaluate"])
def test_what_is_asked_for_is_an_option(command, silent, tmp_path):
    words = arguments_of(command, silent, tmp_path / "out")
    if command == "evaluate":
        words = (*words, "--student-output", "logits")
    result = run(*words)
    assert result.exit_code == 1
    assert "-output 'logits'`" in result.stderr, result.stderr
    assert "has no option" not in result.stderr
    result = run(*words, "--teacher-output", "logit")
    assert result.exit_code == 1
    assert "`--teacher-output` to be one of" in result.stderr
    assert "Did you mean 'logits'?" in result.stderr


def test_evaluate_asks_about_the_file_itself(silent):
    result = run("evaluate", silent)
    assert "`--student-output 'logits'`" in result.stderr, result.stderr
    result = run("evaluate", silent, "--student-output", "logits", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["accuracy"] is not None


def test_a_cache_is_told(silent, tmp_path):
    words = arguments_of("cache", silent, tmp_path / "out")
    result = run(*words, "--teacher-output", "logits", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["complete"] is True


@pytest.mark.filterwarnings("ignore:.*by chance")
@pytest.mark.slow
@pytest.mark.export
def test_distill_is_told(silent, tmp_path):
    words = arguments_of("distill", silent, tmp_path / "out")
    result = run(
        *(*words, "--student", "shrink:0.5", "--epochs", 1),
        *("--teacher-output", "logits", "--max-train", 64),
        *("--quantization", "float32", "--json"),
    )
    assert result.exit_code == 0, result.stderr
    rows = {row["model"]: row for row in json.loads(result.stdout)}
    assert set(rows) == {"teacher", "student", "float32"}
    assert rows["float32"]["agreement"] is not None


@pytest.mark.filterwarnings("ignore:.*by chance")
@pytest.mark.slow
@pytest.mark.export
def test_a_search_is_told(silent, tmp_path):
    words = arguments_of("search", silent, tmp_path / "out")
    result = run(
        *(*words, "--epochs", 1, "--max-train", 64),
        *("--max-trials", 1, "--teacher-output", "logits"),
        *("--quantization", "float32", "--tuner", "random", "--json"),
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["setting"]["teacher_output"] == "logits"
