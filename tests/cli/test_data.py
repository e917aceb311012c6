"""`--data` of every command, and its old name."""

import json

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from keras_kd.cli import app


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of numbers and a teacher of it."""
    folder = tmp_path_factory.mktemp("data")
    x = np.random.default_rng(0).normal(size=(80, 2))
    rows = [f"{a},{b},{'no' if a < 0 else 'yes'}" for a, b in x]
    (folder / "rows.csv").write_text("\n".join(["a,b,answer", *rows]))
    teacher = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    teacher.set_weights([np.array([[-9.0, 9.0], [0, 0]]), np.zeros(2)])
    teacher.save(folder / "teacher.keras")
    return folder


@pytest.mark.slow
@pytest.mark.export
def test_a_table_from_a_teacher_to_files(folder):
    options = ["--data", folder / "rows.csv", "--label", "answer"]
    result = run(
        *("distill", folder / "teacher.keras", *options, "--epochs", 1),
        *("--student", "mlp:0.01", "--quantization", "float32", "--json"),
        *("--output", folder / "out"),
    )
    assert result.exit_code == 0, result.stderr
    assert "Labels are in the column 'answer'.\n" in result.stderr
    results = json.loads((folder / "out" / "results.json").read_text())
    assert results["data"]["class_names"] == ["no", "yes"]
    assert results["data"]["split"]["test"]["stratified"]
    rows = {row["model"]: row for row in results["rows"]}
    assert rows["teacher"]["accuracy"] == 1
    file = folder / "out" / "student_float32.tflite"
    measured = run("evaluate", file, *options, "--json")
    assert measured.exit_code == 0, measured.stderr
    found = json.loads(measured.stdout)
    assert found["accuracy"] == rows["float32"]["accuracy"]


@pytest.mark.parametrize("option", ["--data", "--dataset"])
def test_all_that_is_wrong_with_data_is_one_error(folder, option):
    (folder / "wrong.csv").write_text("a,b,label\n,1,x\n2,1,\n")
    result = run(
        "evaluate", folder / "teacher.keras", option, folder / "wrong.csv"
    )
    assert result.exit_code == 1
    assert f"`--data {str(folder / 'wrong.csv')!r}`. It has:\n" in result.stderr
    assert "- 1 row with NaN or infinite values: row 1.\n" in result.stderr
    assert "- 1 missing label: row 2.\n" in result.stderr


def test_wrong_options_are_said_at_once(folder):
    result = run(
        *("evaluate", folder / "teacher.keras", "--data", "gone/photos"),
        *("--kind", "image"),
    )
    assert result.exit_code == 1
    assert "No data at `gone/photos`" in result.stderr
    assert "Did you mean 'images'?" in result.stderr
