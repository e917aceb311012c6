"""`keras-kd distill`: from a teacher's file to a student's files."""

import json
import os

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import keras_kd
from keras_kd.cli import app
from keras_kd.cli.distill import make_student


def run(*arguments):
    return CliRunner().invoke(app, ["distill", *map(str, arguments)])


@pytest.fixture
def teacher_path(tmp_path):
    path = tmp_path / "teacher.keras"
    keras_kd.students.mlp((8, 8, 1), 10, hidden=(40,)).save(path)
    return path


def test_a_student_may_be_a_share_of_the_teacher(teacher):
    # 8 filters become 2: 3 * 3 * 2 + 2 weights, then 2 * 3 + 3.
    assert make_student("shrink:0.25", teacher).count_params() == 29


def test_a_student_may_be_a_file(teacher, student, tmp_path):
    student.save(tmp_path / "student.keras")
    loaded = make_student(str(tmp_path / "student.keras"), teacher)
    for mine, theirs in zip(
        loaded.get_weights(), student.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("text", ["shrink", "shrink:", "shrink:half"])
def test_a_share_is_a_number(teacher, text):
    with pytest.raises(ValueError, match="such as shrink:0.25"):
        make_student(text, teacher)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--student", "gone.keras"], "No student at `gone.keras`"),
        (["--alpha", "2"], "`alpha` to be a finite number between 0 and 1"),
        (["--temperature", "0"], "greater than 0. Received: temperature=0.0"),
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
        "student.keras",
        "student_float16.tflite",
        "student_float16.tflite.json",
    ]
    rows = {row["model"]: row for row in json.loads(result.stdout)}
    assert list(rows) == ["teacher", "student", "float16"]
    student = keras.models.load_model(output / "student.keras")
    _, (x, y) = keras_kd.data.digits()
    accuracy = np.mean(student.predict(x, verbose=0).argmax(-1) == y)
    assert rows["student"]["accuracy"] == pytest.approx(accuracy)
