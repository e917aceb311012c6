"""The data of a job is made to fit its model, and what was done is said."""

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd.jobs import data


@pytest.fixture
def photos(tmp_path):
    """A folder of dark and light images of 8 x 6 pixels."""
    for name, low in (("dark", 0), ("light", 128)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(20):
            image = np.full((8, 6, 3), low + 5 * i, np.uint8)
            path = tmp_path / "photos" / name / f"{i}.png"
            keras.utils.save_img(path, image, scale=False)
    return str(tmp_path / "photos")


def judge(*front, name="judge"):
    """Return a model that says 1 where the mean pixel is above 0.5."""
    layers = [
        keras.Input((4, 4, 3)),
        *front,
        keras.layers.Flatten(),
        keras.layers.Dense(2),
    ]
    model = keras.Sequential(layers, name=name)
    model.layers[-1].set_weights(
        [np.tile([[0.0, 1 / 48]], (48, 1)), np.array([0.0, -0.48])]
    )
    return model


def test_what_was_done_is_said(photos, capsys):
    splits = data.load_data(photos, judge(keras.layers.Rescaling(1 / 255)))
    assert (splits.input_shape, splits.scale) == ((4, 4, 3), "0..255")
    said = capsys.readouterr().err
    assert "resized to 4 x 4, the size that `judge` takes.\n" in said
    assert "`judge` takes pixels of 0..255, which its first layers" in said


def test_warnings_are_lines(photos, capsys):
    teacher = keras_kd.data.Taker(
        "wrong", lambda x: np.eye(2)[(x.mean((1, 2, 3)) < 0.48).astype(int)]
    )
    data.load_data(photos, teacher, scale="0..1")
    said = capsys.readouterr().err
    assert said.startswith("warning: `wrong` seems to know the classes in")


@pytest.mark.export
@pytest.mark.parametrize("suffix", ["keras", "tflite"])
def test_a_file_tells_what_it_takes(photos, tmp_path, suffix):
    model = judge()
    if suffix == "keras":
        model.save(tmp_path / "file.keras")
    else:
        keras_kd.export.tflite(model, tmp_path / "file.tflite")
    taker = data.taker_of_file(tmp_path / f"file.{suffix}")
    splits = data.load_data(photos, taker)
    assert (splits.input_shape, splits.scale) == ((4, 4, 3), "0..1")


def test_bytes_and_the_layer_behind_them(photos):
    splits = data.load_data(photos, judge())
    x = next(iter(splits.test))[0].numpy()
    whole = next(iter(data.as_bytes(splits).test))[0]
    assert whole.dtype == "uint8"
    np.testing.assert_allclose(data.from_bytes("0..1")(whole), x, atol=1e-6)
    assert data.from_bytes("0..255") is None


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("gone/photos", "No data at `gone/photos`"),
        ("gone.csv", "No data at `gone.csv`"),
        ("digit", "Did you mean 'digits'"),
    ],
)
def test_missing_data_is_said_before_it_is_read(source, match):
    with pytest.raises((FileNotFoundError, ValueError), match=match):
        data.check_data(source)


def test_data_that_is_there_passes(photos):
    for source in ("digits", photos):
        data.check_data(source)
