"""Bad input to `export.tflite`: refused before anything is converted."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_kd import export

pytestmark = pytest.mark.export

GOOD = np.random.default_rng(0).random((20, 3))


def _pipeline(array):
    return tf.data.Dataset.from_tensor_slices(array)


@pytest.mark.parametrize(
    ("calibration", "match"),
    [
        (None, "to be a dataset for 'int8'"),
        (np.zeros((0, 3)), "non-empty"),
        (np.where(GOOD > 0.9, np.nan, GOOD), "to be finite for `input`"),
        (np.where(GOOD > 0.9, -np.inf, GOOD), "to be finite for `input`"),
        (GOOD[:, :2], r"shape \(None, 3\).*calibration=\(20, 2\)"),
        (GOOD[0], "first axis counts examples"),
        (GOOD.astype("uint8"), "to be floating point"),
        (GOOD[:3], "at least 10 examples"),
        (np.zeros((20, 3)), "0 everywhere"),
        ([GOOD, GOOD], r"with the inputs 'input'.*lambda x, y: x\[0\]"),
        ({"a": GOOD, "b": GOOD}, r"\['a', 'b'\].*lambda x, y: x\['a'\]"),
        (lambda: GOOD, "dataset"),
        ((batch for batch in [GOOD]), "dataset.*Received.*generator"),
        (_pipeline(GOOD[:0]).batch(5), "non-empty"),
        # How many are left is only known when it is read.
        (_pipeline(GOOD).filter(lambda x: x[0] > 2).batch(5), "non-empty"),
        (_pipeline(np.where(GOOD > 0.9, np.nan, GOOD)).batch(5), "finite"),
        (_pipeline(GOOD), r"first axis counts examples"),
        (_pipeline(GOOD).batch(5).repeat(), "finite.*take"),
    ],
    ids=[
        "none",
        "empty",
        "nan",
        "infinite",
        "shape",
        "no-batch-axis",
        "unscaled-bytes",
        "few",
        "constant",
        "two-inputs",
        "two-named-inputs",
        "function",
        "generator",
        "empty-pipeline",
        "filtered-pipeline",
        "nan-in-a-pipeline",
        "unbatched-pipeline",
        "endless-pipeline",
    ],
)
def test_bad_calibration_is_refused_before_converting(
    tiny, tmp_path, monkeypatch, calibration, match
):
    monkeypatch.setattr("subprocess.run", _never)
    with pytest.raises((TypeError, ValueError), match=match):
        export.tflite(tiny, tmp_path / "x.tflite", "int8", calibration)
    assert not list(tmp_path.iterdir())


def _never(*args, **kwargs):
    raise AssertionError("The converter was started.")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"quantization": "fp16"}, "Did you mean 'float16'"),
        ({"quantization": "int4_weight"}, "Did you mean 'int4_weights'"),
        ({"quantization": "int16x8"}, "to be a dataset for 'int16x8'"),
        ({"path": "student.lite"}, "ends in `.tflite`"),
        ({"tolerance": 0.0}, "greater than 0"),
        ({"tolerance": float("nan")}, "greater than 0"),
        ({"timeout": 0}, "greater than 0"),
        ({"verify": np.ones((20, 4))}, r"`verify`.*shape \(None, 3\)"),
    ],
    ids=lambda value: str(next(iter(value))) if type(value) is dict else "",
)
def test_bad_arguments_are_refused_before_converting(
    tiny, tmp_path, monkeypatch, arguments, match
):
    monkeypatch.setattr("subprocess.run", _never)
    path = tmp_path / arguments.pop("path", "x.tflite")
    with pytest.raises(ValueError, match=match):
        export.tflite(tiny, path, **arguments)


def test_what_is_no_built_model_is_refused(tmp_path):
    unbuilt = keras.Sequential([keras.layers.Dense(3)], name="bare")
    with pytest.raises(ValueError, match=r"built model.*<Sequential bare>"):
        export.tflite(unbuilt, tmp_path / "x.tflite")
    with pytest.raises(TypeError, match=r"to be a keras.Model"):
        export.tflite("student.keras", tmp_path / "x.tflite")


def test_a_folder_that_cannot_be_written_to(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("subprocess.run", _never)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="Cannot write to the folder"):
        export.tflite(tiny, tmp_path / "file" / "x.tflite")
