"""`.onnx` files are measured by the same code as the models in them."""

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd import export

pytest.importorskip("tf2onnx")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.export
METRICS = ("accuracy", "nll", "calibration_error")


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 8, 8, 1)).astype("float32")
    return x, generator.integers(0, 3, 60)


@pytest.mark.parametrize("head", [None, "softmax"])
def test_a_file_measures_as_its_model(head, data, tmp_path):
    keras.utils.set_random_seed(0)
    student = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation=head),
        ]
    )
    path = tmp_path / "student.onnx"
    export.onnx(student, path, verify=data[0])
    expected = keras_kd.evaluate(
        student, data, latency=False, model_output=None if head else "logits"
    )
    for runtime in (None, "onnxruntime"):
        found = keras_kd.evaluate(
            path, data, teacher=student, runtime=runtime, latency_runs=2
        )
        for name in METRICS:
            value = getattr(expected, name)
            assert getattr(found, name) == pytest.approx(value, abs=1e-5)
        assert found.agreement == 1.0
        assert found.size_bytes == path.stat().st_size
        assert found.latency_source == "ONNX Runtime, 1 thread"


@pytest.mark.parametrize(
    ("runtime", "message"),
    [(None, "a whole ONNX file that"), ("tflm", "to be one of 'onnxruntime'")],
)
def test_refusals(runtime, message, data, tmp_path):
    path = tmp_path / "student.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(ValueError, match=message):
        keras_kd.evaluate(path, data, runtime=runtime)
