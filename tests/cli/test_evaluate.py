"""`keras-kd evaluate`: the numbers of `keras_kd.evaluate`."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import keras_kd
from keras_kd.cli import app


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


@pytest.fixture
def models(tmp_path):
    """Two untrained models and their files."""
    found = {}
    for name, units in {"teacher": 30, "student": 5}.items():
        model = keras_kd.students.mlp((8, 8, 1), 10, hidden=(units,))
        model.save(tmp_path / f"{name}.keras")
        found[name] = (model, tmp_path / f"{name}.keras")
    return found


def test_json_has_the_accuracy_and_the_agreement(models):
    student, path = models["student"]
    teacher, teacher_path = models["teacher"]
    options = ["--dataset", "digits", "--teacher", teacher_path, "--json"]
    result = run(path, *options)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    _, (x, y) = keras_kd.data.digits()
    mine = student.predict(x, verbose=0).argmax(-1)
    theirs = teacher.predict(x, verbose=0).argmax(-1)
    assert found["num_examples"] == 500
    assert found["accuracy"] == pytest.approx(np.mean(mine == y))
    assert found["agreement"] == pytest.approx(np.mean(mine == theirs))


def test_the_table_leaves_out_what_does_not_apply(models):
    result = run(models["student"][1], "--dataset", "digits")
    assert result.exit_code == 0, result.stderr
    names = [line.split()[0] for line in result.stdout.splitlines()]
    assert "accuracy" in names
    assert "agreement" not in names


def test_each_runtime_has_a_column(models, tmp_path):
    path = tmp_path / "student.tflite"
    keras_kd.export.tflite(models["student"][0], path)
    both = ["litert", "litert-reference"]
    options = [word for name in both for word in ("--runtime", name)]
    # The two models are untrained: no accuracy tells the range of pixels.
    options += ["--dataset", "digits", "--scale", "0..1"]
    result = run(path, *options)
    assert result.exit_code == 0, result.stderr
    head, *rows = [line.split() for line in result.stdout.splitlines()]
    assert head == ["measure", *both]
    shown = {name: values for name, *values in rows}
    assert shown["accuracy"][0] == shown["accuracy"][1]
    assert shown["name"] == ["student.tflite"] * 2
    assert len(shown["latency_ms_p50"]) == 1  # not in the slow kernels
    found = json.loads(run(path, *options, "--json").stdout)
    assert list(found["runtimes"]) == both


def test_every_unknown_runtime_is_named(models):
    words = ["--runtime", "tfml", "--runtime", "onyx", "--dataset", "digits"]
    result = run(models["student"][1], *words)
    assert result.exit_code == 1
    assert "'tfml'" in result.stderr
    assert "'onyx'" in result.stderr


def test_a_missing_file_is_one_line(tmp_path):
    result = run(tmp_path / "gone.tflite", "--dataset", "digits")
    assert result.exit_code == 1
    assert str(tmp_path / "gone.tflite") in result.stderr
    assert result.stderr.count("\n") == 1
