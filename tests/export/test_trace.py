"""What a trace keeps of the student: open sizes, integers, order."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from keras_kd import export
from keras_kd.quantization import quantize_aware

pytestmark = [pytest.mark.export, pytest.mark.slow]
layers = keras.layers
RNG = np.random.default_rng(0)
SMALL = RNG.random((32, 8, 10, 3), "float32")
OTHER = RNG.random((1, 9, 7, 3), "float32")


@pytest.fixture(scope="module")
def enlarge():
    """A student that doubles images of any size."""
    keras.utils.set_random_seed(0)
    x = keras.Input((None, None, 3))
    up = layers.UpSampling2D(2, interpolation="bilinear")(x)
    detail = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    detail = layers.Conv2DTranspose(3, 3, strides=2, padding="same")(detail)
    return keras.Model(x, layers.Add()([up, detail]))


def _resized(path, x):
    """Run a file on an image of another size; real numbers in and out."""
    run = Interpreter(str(path))
    run.resize_tensor_input(run.get_input_details()[0]["index"], x.shape)
    run.allocate_tensors()
    ((taken,), (given,)) = run.get_input_details(), run.get_output_details()
    scale, zero = taken["quantization"]
    fed = np.rint(x / scale + zero).clip(-128, 127) if scale else x
    run.set_tensor(taken["index"], fed.astype(taken["dtype"]))
    run.invoke()
    found = run.get_tensor(given["index"]).astype("float32")
    scale, zero = given["quantization"]
    return (found - zero) * scale if scale else found


@pytest.mark.parametrize(
    ("quantization", "tolerance"), [(None, 1e-5), ("int8", 0.1)], ids=str
)
def test_an_open_size_stays_open(enlarge, tmp_path, quantization, tolerance):
    path = tmp_path / "x.tflite"
    assert export.tflite(enlarge, path, quantization, calibration=SMALL).passed
    expected = np.asarray(enlarge(OTHER))
    assert np.abs(_resized(path, OTHER) - expected).max() < tolerance


def test_an_open_size_of_a_quantize_aware_student(enlarge, tmp_path):
    aware = quantize_aware(enlarge)
    aware.compile("sgd", "mse")
    aware.fit(SMALL, np.asarray(enlarge(SMALL)), epochs=2, verbose=0)
    path = tmp_path / "x.tflite"
    assert export.tflite(aware, path, "int8", verify=SMALL).passed
    found = _resized(path, OTHER)
    assert np.abs(found - np.asarray(aware(OTHER))).max() < 0.1


@pytest.mark.parametrize("quantization", [None, "int8"], ids=str)
def test_the_index_of_the_largest(tmp_path, quantization):
    x = keras.Input((6, 6, 3), name="a picture")
    maps = layers.Conv2D(4, 1, name="maps")(x)
    student = keras.Model(x, [maps, keras.ops.argmax(maps, -1)])
    data = RNG.random((16, 6, 6, 3), "float32")
    path = tmp_path / "x.tflite"
    result = export.tflite(student, path, quantization, calibration=data)
    assert result.agreement > (0.9 if quantization else 0.999)
    run = Interpreter(str(path)).get_signature_runner()
    if quantization:
        return
    found = run(a_picture=data[:1])
    expected = np.asarray(student(data[:1])[0]).argmax(-1)
    np.testing.assert_array_equal(found["output_1"], expected)
