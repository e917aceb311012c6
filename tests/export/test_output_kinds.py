"""A verification measures what the outputs are."""

import keras
import numpy as np
import pytest

import keras_kd

pytestmark = pytest.mark.export
RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (64, 4)).astype("float32")


def close_landmarks():
    """Eight numbers so close together that rounding reorders them."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(
                8, bias_initializer=keras.initializers.Constant(30.0)
            ),
        ]
    )
    kernel, bias = model.get_weights()
    same = np.repeat(kernel[:, :1], 8, axis=1)
    model.set_weights([same + 1e-3 * kernel, bias])
    return model


def test_numbers_pick_no_class(tmp_path):
    model = close_landmarks()
    path = tmp_path / "student.tflite"
    with pytest.raises(keras_kd.ExportMismatchError, match="student's class"):
        keras_kd.export.tflite(model, path, "int8", calibration=X)
    model.compile("sgd", "mse")
    found = keras_kd.export.tflite(model, path, "int8", calibration=X)
    assert found.passed
    assert found.agreement is None
    assert found.max_abs_difference < 0.2 * found.output_range


def test_labels_are_decided_one_by_one(tmp_path):
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(5, "sigmoid")]
    )
    path = tmp_path / "student.tflite"
    found = keras_kd.export.tflite(model, path, "int8", calibration=X)
    file = keras_kd.evaluation.runners.open_runner(path).predict(X)
    same = (file > 0.5) == (np.asarray(model(X)) > 0.5)
    assert found.agreement == pytest.approx(same.mean())


def test_embeddings_keep_their_direction(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(6),
            keras.layers.UnitNormalization(),
        ]
    )
    path = tmp_path / "student.tflite"
    found = keras_kd.export.tflite(model, path, "int8", calibration=X)
    file = keras_kd.evaluation.runners.open_runner(path).predict(X)
    cosines = (file * np.asarray(model(X))).sum(-1)
    cosines = cosines / np.linalg.norm(file, axis=-1)
    assert found.cosine == pytest.approx(cosines.mean(), abs=1e-4)
    assert found.cosine > 0.98
    assert found.agreement is None


@pytest.mark.parametrize("loss", ["mse", "binary_crossentropy"])
def test_a_folder_says_what_its_one_unit_is(tmp_path, loss):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", loss)
    keras_kd.export.saved_model(model, tmp_path / "student")
    labels = (X[:, 0] > 0).astype("float32")
    found = keras_kd.evaluate(tmp_path / "student", (X, labels), latency=False)
    outputs = model.predict(X, verbose=0)[:, 0]
    if loss == "mse":
        assert found.accuracy is None
        error = np.abs(outputs - labels).mean()
        assert found.mae == pytest.approx(error, rel=1e-5)
    else:
        assert found.accuracy == ((outputs > 0) == labels).mean()
