"""`keras-kd distill`: from a teacher's file to a student's files."""

import json
import os

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import keras_kd
from keras_kd.cli import app
from keras_kd.jobs import outputs
from keras_kd.jobs.logs import read_table


def run(*arguments):
    return CliRunner().invoke(app, ["distill", *map(str, arguments)])


@pytest.fixture
def teacher_path(tmp_path):
    path = tmp_path / "teacher.keras"
    keras_kd.students.mlp((8, 8, 1), 10, hidden=(40,)).save(path)
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--student", "gone.keras"], "No student at `gone.keras`"),
        (["--alpha", "2"], "`--alpha` to be a finite number between 0 and 1"),
        (["--temperature", "0"], "greater than 0. Received: --temperature 0.0"),
        (["--strategy", "mirored"], "Did you mean 'mirrored'?"),
        (["--dataset", "digit"], "Did you mean 'digits'?"),
    ],
    ids=["student", "alpha", "temperature", "strategy", "dataset"],
)
def test_a_wrong_option_is_one_line(teacher_path, tmp_path, options, message):
    result = run(
        teacher_path, "--dataset", "digits", "--output", tmp_path, *options
    )
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_missing_teacher_is_named(tmp_path):
    gone = tmp_path / "gone.keras"
    result = run(gone, "--dataset", "digits", "--output", tmp_path)
    assert result.exit_code == 1
    assert f"No teacher at `{gone}`" in result.stderr


@pytest.mark.untraced
@pytest.mark.export
def test_it_leaves_the_student_and_its_files(teacher_path, tmp_path):
    output = tmp_path / "distilled"
    result = run(
        *(teacher_path, "--dataset", "digits", "--output", output),
        *("--student", "shrink:0.5", "--epochs", 2, "--max-train", 128),
        *("--quantization", "float16", "--json"),
    )
    assert result.exit_code == 0, result.stderr
    assert sorted(os.listdir(output)) == [
        "history.csv",
        "history.json",
        "logs",
        "report.html",
        "report.json",
        "results.json",
        "run.toml",
        "student.keras",
        "student_float16.tflite",
        "student_float16.tflite.json",
        "student_float16.tflite.md",
    ]
    rows = {row["model"]: row for row in json.loads(result.stdout)}
    assert list(rows) == ["teacher", "student", "float16"]
    student = keras.models.load_model(output / "student.keras")
    _, (x, y) = keras_kd.data.digits()
    accuracy = np.mean(student.predict(x, verbose=0).argmax(-1) == y)
    assert rows["student"]["accuracy"] == pytest.approx(accuracy)
    results = json.loads((output / "results.json").read_text())
    assert results["rows"] == list(rows.values())
    assert results["setting"]["student"] == "shrink:0.5"
    assert results["setting"]["scale"] == "0..1"
    history = json.loads((output / "history.json").read_text())
    assert len(history["val_accuracy"]) == 2
    assert {"agreement", "soft_targets", "student_loss"} <= history.keys()
    table = read_table(output / "history.csv")
    assert table.keys() == history.keys()
    np.testing.assert_allclose(table["loss"], history["loss"], rtol=1e-6)
    assert list((output / "logs" / "history").rglob("events.*"))


@pytest.mark.slow
@pytest.mark.export
def test_a_teacher_of_bytes_and_a_student_with_a_softmax(tmp_path):
    (x, y), (x_test, y_test) = keras_kd.data.digits()
    teacher = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(10, "softmax"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    teacher.compile(
        keras.optimizers.Adam(0.01), loss=loss, metrics=["accuracy"]
    )
    teacher.fit(np.rint(255 * x), y, epochs=20, verbose=0)
    _, accuracy = teacher.evaluate(np.rint(255 * x_test), y_test, verbose=0)
    teacher.save(tmp_path / "teacher.keras")
    own = keras.models.clone_model(teacher)
    own.save(tmp_path / "own.keras")
    result = run(
        *(tmp_path / "teacher.keras", "--dataset", "digits", "--epochs", 2),
        *("--student", tmp_path / "own.keras", "--quantization", "float32"),
        *("--output", tmp_path / "out", "--json"),
    )
    assert result.exit_code == 0, result.stderr
    assert "takes pixels of 0..255" in result.stderr
    rows = {row["model"]: row for row in json.loads(result.stdout)}
    assert rows["teacher"]["accuracy"] == pytest.approx(accuracy)
    student = keras.models.load_model(tmp_path / "out" / "student.keras")
    guesses = student.predict(np.rint(255 * x_test), verbose=0).argmax(-1)
    expected = pytest.approx(np.mean(guesses == y_test))
    assert rows["float32"]["accuracy"] == expected


@pytest.fixture
def used(tmp_path):
    """A folder with an earlier run's files, and one that is not ours."""
    for name in ("student.keras", "student_int8.tflite", "mine.tflite"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_a_second_run_is_refused(teacher_path, used):
    result = run(teacher_path, "--dataset", "digits", "--output", used)
    assert result.exit_code == 1
    assert "(student.keras, student_int8.tflite)" in result.stderr
    assert "--overwrite" in result.stderr
    assert (used / "student.keras").read_text() == "student.keras"


def test_a_second_run_may_replace_the_first(used):
    outputs.check_unused(used, used / "teacher.keras", overwrite=True)
    outputs.remove_earlier(used)
    assert os.listdir(used) == ["mine.tflite"]


def test_the_teacher_is_never_replaced(used):
    with pytest.raises(ValueError, match="would replace. Choose another"):
        outputs.check_unused(used, used / "student.keras", overwrite=True)


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    result = run(
        *(tmp_path / "gone.keras", "--dataset", "digit"),
        *("--student", "resne", "--alpha", 2, "--scale", "0..9"),
        *("--quantization", "int9", "--output", tmp_path),
    )
    assert result.exit_code == 1
    for message in (
        "No teacher at",
        "Did you mean 'digits'?",
        "Did you mean 'resnet'?",
        "Received: --alpha 2.0",
        "Received: --scale '0..9'",
        "Did you mean 'int8'?",
    ):
        assert message in result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 6
    assert all(line.startswith("error: ") for line in lines)
