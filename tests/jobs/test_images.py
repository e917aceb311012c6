"""The range of the pixels is the one under which the model is right."""

import dataclasses

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd.jobs import images


class Splits:
    """Two classes, told apart by the mean of an image's pixels."""

    name = "halves"
    num_classes = 2
    input_shape = (2, 2, 1)
    validation = None

    def __init__(self):
        means = np.linspace(0, 1, 200).astype("float32")
        x = np.tile(means[:, None, None, None], (1, 2, 2, 1))
        y = (means > 0.5).astype("int32")
        self.test = keras_kd.data.from_arrays(x, y, batch_size=32)


def judge(threshold, sharpness=1.0):
    """Return a model that says 1 where the mean pixel is above a threshold."""
    model = keras.Sequential(
        [
            keras.Input((2, 2, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ],
        name="judge",
    )
    kernel = np.array([[0.0, sharpness / 4]] * 4)
    model.set_weights([kernel, np.array([0.0, -sharpness * threshold])])
    return model


@pytest.mark.parametrize(
    ("threshold", "scale"), [(0.5, "0..1"), (127.5, "0..255"), (0.0, "-1..1")]
)
def test_the_range_is_found(threshold, scale, capsys):
    found = images.find_scale("distill", judge(threshold), Splits(), None)
    assert found == scale
    said = capsys.readouterr().err
    assert (scale in said and "100.0%" in said) == (scale != "0..1")


def test_the_accuracies_are_those_of_the_scaled_images():
    # 0.4 of the pixels from 0 to 1: a tenth of the images is judged wrongly.
    # From 0 to 255 all but the first image is above it.
    found = images.accuracies(judge(0.4), Splits().test)
    assert found["0..1"] == pytest.approx(0.9)
    assert found["0..255"] == pytest.approx(0.5, abs=0.01)
    assert found["-1..1"] == pytest.approx(0.8)


def test_what_cannot_be_told_is_asked():
    # Of the pixels from 0 to 1 a quarter is judged wrongly, of those from -1
    # to 1 an eighth.
    message = r"75\.0% as 0\.\.1.* 87\.5% as -1\.\.1.*--scale -1\.\.1"
    with pytest.raises(ValueError, match=message):
        images.find_scale("distill", judge(0.25), Splits(), None)


def test_what_was_said_is_not_measured():
    assert images.find_scale("distill", None, None, "0..255") == "0..255"


def test_a_model_at_chance_is_said_to_be_one(capsys):
    found = images.find_scale("distill", judge(1e9), Splits(), None)
    assert found == "0..1"
    assert "warning: `judge` is hardly better than" in capsys.readouterr().err


def test_bytes_are_whole_numbers():
    splits = keras_kd.data.load("digits", max_train=64, batch_size=64)
    x = next(iter(splits.train))[0].numpy()
    scaled = images.scaled(splits, "0..255")
    again = next(iter(scaled.train))[0].numpy()
    assert sorted(np.unique(again)) == sorted(np.unique(np.rint(x * 255)))
    assert len(scaled.train) == len(splits.train)
    assert dataclasses.replace(scaled, train=None).name == "digits"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: keras_kd.students.mlp((9, 8, 1), 10), r"takes \(9, 8, 1\)"),
        (lambda: keras_kd.students.mlp((8, 8, 1), 9), "has 9 outputs"),
    ],
    ids=["shape", "classes"],
)
def test_a_model_of_other_images_is_refused(model, message):
    splits = keras_kd.data.load("digits", max_train=1)
    with pytest.raises(ValueError, match=message):
        images.check_fits("distill", "teacher", model(), splits)
