"""`keras-kd verify`: the exit code says whether a file passes."""

import json

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import keras_kd
from keras_kd.cli import app

pytestmark = pytest.mark.export


def run(*arguments):
    return CliRunner().invoke(app, ["verify", *map(str, arguments)])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A student, its SavedModel, and another student of the same shape."""
    folder = tmp_path_factory.mktemp("verify")
    keras.utils.set_random_seed(0)
    student = keras_kd.students.mlp((8, 8, 1), 10, hidden=(20,))
    student.save(folder / "student.keras")
    keras_kd.export.saved_model(student, folder / "saved")
    student.set_weights([-w for w in student.get_weights()])
    student.save(folder / "other.keras")
    return folder


def test_a_file_that_passes(files):
    options = ["--dataset", "digits", "--max-accuracy-loss", "0", "--json"]
    result = run(files / "saved", files / "student.keras", *options)
    assert result.exit_code == 0, result.stderr
    check = json.loads(result.stdout)
    test = keras_kd.data.load("digits").test
    assert check["num_examples"] == sum(len(x) for x, _ in test)
    assert check["accuracy"] == check["student_accuracy"]
    student = keras.models.load_model(files / "student.keras")
    x, y = (np.concatenate(part) for part in zip(*test, strict=True))
    right = student.predict(x, verbose=0).argmax(1) == y
    np.testing.assert_allclose(check["accuracy"], right.mean())


def test_a_file_that_does_not_is_exit_code_1(files):
    options = ["--dataset", "digits", "--num-examples", "20", "--scale", "0..1"]
    result = run(files / "saved", files / "other.keras", *options)
    assert result.exit_code == 1
    assert "does not behave like the student" in result.stderr
    assert "A larger `--tolerance` accepts it" in result.stderr
    assert result.stderr.count("error: ") == 1


def test_all_that_is_missing_is_said_at_once(tmp_path):
    result = run(tmp_path / "a.tflite", tmp_path / "b.keras", "--dataset", "a")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 3
    for message in ("No file to verify", "No student at", "--data 'a'"):
        assert message in result.stderr


def test_a_tolerance_is_the_users(files):
    options = ["--dataset", "digits", "--tolerance", "1000"]
    result = run(files / "saved", files / "other.keras", *options)
    assert result.exit_code == 0, result.stderr
    assert "accuracy_difference" in result.stdout
