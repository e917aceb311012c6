"""Bytes enter an int8 student through the scale of the file's input."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import keras_kd
from keras_kd import export
from keras_kd.export.byte_inputs import byte_grid
from keras_kd.export.context import read_context
from keras_kd.export.examples import Examples
from keras_kd.export.layer_errors import worst_layers

layers = keras.layers
SHAPE = (None, 4, 4, 3)


def normalization(mean, variance):
    layer = layers.Normalization(mean=mean, variance=variance)
    layer.build(SHAPE)
    return layer


@pytest.mark.parametrize(
    ("front", "expected"),
    [
        ([], (1.0, 0, 0)),
        ([layers.Rescaling(1 / 255)], (1 / 255, 0, 0)),
        ([layers.Rescaling(1 / 127.5, offset=-1)], (1 / 127.5, 128, 0.5)),
        (
            [layers.Rescaling(2.0), layers.Rescaling(3.0, offset=-60)],
            (6, 10, 0),
        ),
        ([normalization(100.0, 16.0)], (0.25, 100, 0)),
        ([keras.Sequential([layers.Rescaling(0.5)])], (0.5, 0, 0)),
        ([keras.Input(SHAPE[1:]), layers.Rescaling(0.5)], (0.5, 0, 0)),
        # Not one scale, not an offset among the bytes, not values alone.
        ([normalization([1.0, 2.0, 9.0], [1.0, 1.0, 1.0])], None),
        ([layers.Rescaling(1 / 255, offset=0.5)], None),
        ([layers.Rescaling(-1.0, offset=255)], None),
        ([layers.Resizing(2, 2)], None),
    ],
)
def test_the_grid_of_the_bytes(front, expected):
    found = byte_grid(front, SHAPE)
    if expected is None:
        assert found is None
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def aware(student, data):
    """The quantize-aware student, trained a little."""
    aware = keras_kd.quantization.quantize_aware(student)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    aware.compile(keras.optimizers.Adam(1e-4), loss)
    aware.fit(*data, verbose=0)
    return aware


@pytest.fixture(scope="module")
def pictures(data):
    return np.round(data[0] * 255).clip(0, 255).astype("uint8")


def run(path, x):
    """Run a file on stored values; return real outputs and their step."""
    interpreter = Interpreter(str(path))
    [given] = interpreter.get_input_details()
    [found] = interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    scale, zero_point = found["quantization"]
    stored = interpreter.get_tensor(found["index"]).astype("float64")
    return scale * (stored - zero_point), scale


@pytest.mark.export
@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.slow
def test_bytes_enter_without_a_float_operator(aware, data, pictures, tmp_path):
    path = tmp_path / "student.tflite"
    result = export.tflite(
        aware,
        path,
        "int8",
        verify=(pictures, data[1]),
        preprocess=layers.Rescaling(1 / 255),
        input_dtype="uint8",
    )
    assert (result.kind, result.input_dtype) == ("int8", "uint8")
    assert result.operators["QUANTIZE"] == 1
    assert not {"CAST", "MUL", "DEQUANTIZE"} & set(result.operators)
    found, step = run(path, pictures)
    expected = np.asarray(aware(pictures / np.float32(255)))
    assert np.abs(found - expected).max() <= 1.01 * step
    again = export.verify(
        path, aware, pictures, preprocess=layers.Rescaling(1 / 255)
    )
    assert again.max_abs_difference == result.max_abs_difference
    context = read_context(
        "test", aware, preprocess=layers.Rescaling(1 / 255), input_dtype="uint8"
    )
    worst = worst_layers(context, path, Examples({"image": pictures}))
    assert all(layer.error < 0.02 for layer in worst)
    # Bytes are bytes, and real values are what the student takes.
    first = keras_kd.evaluate(path, (pictures, data[1]), latency=False)
    real = keras_kd.evaluate(
        path, (pictures / np.float32(255), data[1]), latency=False
    )
    assert first.accuracy == real.accuracy > 0.9
    with pytest.raises(ValueError, match=r"from 0 to 1, or bytes .*uint8"):
        keras_kd.evaluate(path, pictures.astype("float32"), latency=False)


@pytest.mark.export
@pytest.mark.slow
def test_other_layers_stay_in_float_with_a_warning(aware, pictures, tmp_path):
    path = tmp_path / "student.tflite"
    front = [keras.Input((16, 16, 1)), layers.Resizing(8, 8)]
    front.append(layers.Rescaling(1 / 255))
    large = pictures.repeat(2, axis=1).repeat(2, axis=2)
    with pytest.warns(UserWarning, match="stays in float32 in the file"):
        result = export.tflite(
            aware,
            path,
            "int8",
            verify=large,
            preprocess=front,
            input_dtype="uint8",
        )
    assert (result.kind, result.passed) == ("mixed_int8", True)
    found, step = run(path, large)
    expected = np.asarray(aware(pictures / np.float32(255)))
    assert np.abs(found - expected).max() <= 1.01 * step


@pytest.mark.export
@pytest.mark.slow
def test_bytes_in_and_probabilities_out_as_bytes(
    aware, data, pictures, tmp_path
):
    path = tmp_path / "student.tflite"
    result = export.tflite(
        aware,
        path,
        "int8",
        verify=(pictures, data[1]),
        preprocess=layers.Rescaling(1 / 255),
        input_dtype="uint8",
        output="probabilities",
        output_dtype="uint8",
    )
    assert (result.kind, result.output_dtype) == ("int8", "uint8")
    found, step = run(path, pictures)
    assert step == 1 / 256
    logits = np.asarray(aware(pictures / np.float32(255)))
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    assert np.abs(found - expected).max() <= 1.01 * step
    measured = keras_kd.evaluate(path, (pictures, data[1]), latency=False)
    assert measured.accuracy == pytest.approx(result.accuracy, abs=0.05)
