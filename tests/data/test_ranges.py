"""The range of the pixels is the one under which the model is right."""

import keras
import numpy as np
import pytest

from keras_kd.data import Taker
from keras_kd.data import load
from keras_kd.data import ranges

MEANS = np.linspace(0, 1, 200).astype("float32")
X = np.tile(MEANS[:, None, None, None], (1, 2, 2, 1))
Y = (MEANS > 0.5).astype("int32")


def judge(threshold):
    """Return a model that says 1 where the mean pixel is above a threshold."""
    layers = [
        keras.Input((2, 2, 1)),
        keras.layers.Flatten(),
        keras.layers.Dense(2),
    ]
    model = keras.Sequential(layers, name="judge")
    kernel = np.array([[0.0, 0.25]] * 4)
    model.set_weights([kernel, np.array([0.0, -threshold])])
    return model


def fitted(threshold, **arguments):
    parts = {"train": (X, Y), "test": (X + 1e-7, Y)}
    return load(
        parts, teacher=judge(threshold), validation_share=0, **arguments
    )


@pytest.mark.parametrize(
    ("threshold", "scale"), [(0.5, "0..1"), (127.5, "0..255"), (0.0, "-1..1")]
)
def test_the_range_is_found(threshold, scale):
    splits = fitted(threshold)
    assert splits.scale == scale
    factor, offset = {
        "0..1": (1, 0),
        "0..255": (255, 0),
        "-1..1": (2, -1),
    }[scale]
    x = np.concatenate([x for x, _ in splits.test])[:, 0, 0, 0]
    rounding = 0.501 if scale == "0..255" else 1e-6
    np.testing.assert_allclose(x, MEANS * factor + offset, atol=rounding)
    said = "".join(splits.notes)
    assert (scale in said and "100.0%" in said) == (scale != "0..1")


def test_the_accuracies_are_those_of_the_scaled_images():
    # 0.4 of the pixels from 0 to 1: a tenth of the images is judged wrongly.
    # From 0 to 255 all but the first image is above it.
    model = judge(0.4)
    found = ranges.accuracies(lambda x: np.asarray(model(x)), X, Y, (1.0, 0.0))
    assert found["0..1"] == pytest.approx(0.9)
    assert found["0..255"] == pytest.approx(0.5, abs=0.01)
    assert found["-1..1"] == pytest.approx(0.8)


def test_what_cannot_be_told_is_asked():
    # Of the pixels from 0 to 1 a quarter is judged wrongly, of those from -1
    # to 1 an eighth.
    message = r"75\.0% as 0\.\.1.* 87\.5% as -1\.\.1.*scale=-1\.\.1"
    with pytest.raises(ValueError, match=message):
        fitted(0.25)


def test_what_was_said_is_not_measured():
    assert fitted(0.25, scale="-1..1").scale == "-1..1"


def test_a_model_at_chance_is_said_to_be_one():
    with pytest.warns(UserWarning, match="`judge` is hardly better than"):
        assert fitted(1e9).scale == "0..1"


def test_a_range_that_a_file_refuses_is_left_out():
    def logits(x):
        if not np.array_equal(x, np.rint(x)):
            raise ValueError("bytes only")
        return np.stack([0 * x[:, 0, 0, 0], x[:, 0, 0, 0] - 127.5], -1)

    parts = {"train": (X, Y), "test": (X + 1e-7, Y)}
    splits = load(parts, teacher=Taker("file", logits), validation_share=0)
    assert splits.scale == "0..255"


def test_bytes_are_whole_numbers():
    splits = load("digits", max_train=64, batch_size=64)
    x = next(iter(splits.train))[0].numpy()
    scaled = splits.rescaled("0..255")
    again = next(iter(scaled.train))[0].numpy()
    assert sorted(np.unique(again)) == sorted(np.unique(np.rint(x * 255)))
    assert len(scaled.train) == len(splits.train)
    assert scaled.scale == "0..255"
    back = scaled.rescaled("-1..1").rescaled("0..1")
    np.testing.assert_allclose(
        next(iter(back.test))[0], next(iter(splits.test))[0], atol=0.003
    )
