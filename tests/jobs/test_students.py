"""Students by name and width, or from a file."""

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd.jobs.students import check_student
from keras_kd.jobs.students import make_student
from keras_kd.jobs.students import student_builder


@pytest.fixture
def splits():
    return keras_kd.data.load("digits", max_train=1)


def test_a_student_may_be_a_share_of_the_teacher(teacher, splits):
    # 8 filters become 2: 3 * 3 * 2 + 2 weights, then 2 * 3 + 3.
    student = make_student("shrink:0.25", teacher, splits)
    assert student.count_params() == 29


def test_a_student_may_be_a_file(teacher, student, splits, tmp_path):
    student.save(tmp_path / "student.keras")
    path = str(tmp_path / "student.keras")
    check_student("distill", path)
    loaded = make_student(path, teacher, splits)
    for mine, theirs in zip(
        loaded.get_weights(), student.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_a_student_may_be_of_a_family(teacher, splits):
    # Two layers of 1,200 units at width 1.
    expected = 64 * 150 + 150 * 150 + 150 * 10 + 310
    built = student_builder("mlp", teacher, splits)(0.125)
    named = make_student("mlp:0.125", teacher, splits)
    assert built.count_params() == named.count_params() == expected


def test_a_family_learns_from_pixels_between_0_and_1(teacher, splits):
    student = make_student("mlp:0.01", teacher, splits.rescaled("-1..1"))
    plain = next(x for x in student.layers if isinstance(x, keras.Model))
    x = np.random.default_rng(0).uniform(size=(4, 8, 8, 1)).astype("float32")
    np.testing.assert_allclose(student(2 * x - 1), plain(x), atol=1e-5)


def test_a_family_learns_from_numbers_of_variance_1(teacher):
    x = np.random.default_rng(0).normal(100, 30, (200, 3)).astype("float32")
    splits = keras_kd.data.load((x, np.arange(200) % 2))
    student = student_builder("mlp", teacher, splits)(0.01)
    found = student.layers[1](x)
    np.testing.assert_allclose(np.std(found, axis=0), 1, atol=0.2)
    np.testing.assert_allclose(np.mean(found, axis=0), 0, atol=0.2)


def test_a_family_learns_from_spectrograms(teacher):
    x = np.random.default_rng(0).normal(size=(8, 640, 1)).astype("float32")
    splits = keras_kd.data.load((x, np.arange(8) % 2), kind="audio")
    student = student_builder("ds_cnn", teacher, splits)(0.1)
    assert student(x).shape == (8, 2)


def test_a_family_of_other_data_is_refused(teacher):
    splits = keras_kd.data.load((np.eye(8), np.arange(8) % 2))
    with pytest.raises(ValueError, match="one of shrink, mlp for numbers"):
        student_builder("resnet", teacher, splits)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shrink", "such as shrink:0.25"),
        ("shrink:", "such as shrink:0.25"),
        ("shrink:half", "such as shrink:0.25"),
        ("mlp:0", "such as mlp:0.25"),
        ("mobilenet_v4", r"Did you mean 'mobilenet_v\d'\?"),
    ],
)
def test_a_wrong_student_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        check_student("distill", text)


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"No student at `gone\.keras`"):
        check_student("distill", "gone.keras")


@pytest.mark.parametrize("text", ["shrink:.5", "mlp", "mobilenet_v2:0.35"])
def test_a_known_student_is_accepted(text):
    check_student("distill", text)
