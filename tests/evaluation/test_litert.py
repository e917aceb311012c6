"""LiteRTModel against NumPy, on files made here by the converter."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_kd.evaluation.litert import LiteRTModel
from keras_kd.evaluation.litert import TensorDetails

pytestmark = pytest.mark.export


def _convert(function, shape, **settings):
    spec = tf.TensorSpec(shape, tf.float32, name="x")
    concrete = tf.function(function, input_signature=[spec])
    module = tf.Module()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [concrete.get_concrete_function()], module
    )
    for name, value in settings.items():
        setattr(converter, name, value)
    return converter.convert()


@pytest.fixture(scope="module")
def weights():
    generator = np.random.default_rng(0)
    return generator.normal(size=(5, 3)).astype("float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, weights):
    folder = tmp_path_factory.mktemp("litert")

    def function(x):
        return tf.matmul(x, weights)

    def examples():
        for value in np.random.default_rng(1).uniform(-1, 1, (50, 1, 5)):
            yield [value.astype("float32")]

    (folder / "open.tflite").write_bytes(_convert(function, (None, 5)))
    (folder / "fixed.tflite").write_bytes(_convert(function, (4, 5)))
    quantized = _convert(
        function,
        (None, 5),
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=examples,
        inference_input_type=tf.int8,
        inference_output_type=tf.int8,
    )
    (folder / "int8.tflite").write_bytes(quantized)
    return folder


@pytest.mark.parametrize("name", ["open", "fixed", "int8"])
def test_the_runtime_does_not_announce_its_delegate(folder, x, capfd, name):
    LiteRTModel(folder / f"{name}.tflite").predict(x)
    assert "XNNPACK" not in capfd.readouterr().err


@pytest.fixture(scope="module")
def x():
    values = np.random.default_rng(2).uniform(-1, 1, (11, 5))
    return values.astype("float32")


@pytest.mark.parametrize("name", ["open", "fixed"])
@pytest.mark.parametrize("count", [1, 4, 11])
def test_any_number_of_examples(folder, weights, x, name, count):
    model = LiteRTModel(folder / f"{name}.tflite")
    found = model.predict(x[:count], batch_size=3)
    assert found.shape == (count, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, x[:count] @ weights, atol=1e-6)


def test_int8_ends_are_quantized_and_dequantized(folder, weights, x):
    model = LiteRTModel(folder / "int8.tflite")
    assert model.input_details[0].dtype == "int8"
    assert model.output_details[0].dtype == "int8"
    found = model.predict(x)
    assert found.dtype == np.float32
    step = model.output_details[0].scale
    zero = model.output_details[0].zero_point
    limits = (-128 - zero) * step, (127 - zero) * step
    expected = np.clip(x @ weights, *limits)
    np.testing.assert_allclose(found, expected, atol=0.05)
    np.testing.assert_allclose(found / step, np.rint(found / step), atol=1e-3)


def test_open_sizes_follow_the_data(tmp_path):
    kernel = np.ones((3, 3, 1, 1), "float32")

    def function(x):
        return tf.reduce_sum(tf.nn.conv2d(x, kernel, 1, "VALID"), [1, 2, 3])

    path = tmp_path / "open.tflite"
    path.write_bytes(_convert(function, (None, None, None, 1)))
    model = LiteRTModel(path)
    assert model.input_details[0].shape == (None, None, None, 1)
    for size in (3, 5, 4):
        found = model.predict(np.ones((2, size, size, 1)))
        np.testing.assert_allclose(found, 9.0 * (size - 2) ** 2)


def test_results_outlive_the_next_prediction(folder, x):
    model = LiteRTModel(folder / "open.tflite")
    first = model.predict(x)
    kept = first.copy()
    model.predict(-x)
    np.testing.assert_array_equal(first, kept)


def test_details_and_weights(folder):
    model = LiteRTModel(folder / "open.tflite")
    assert model.input_details[0].shape == (None, 5)
    assert model.output_details[0].shape == (None, 3)
    assert model.weight_dtypes == {"float32": 15}
    assert model.num_params == 15
    assert "FULLY_CONNECTED" in model.operators
    assert LiteRTModel(folder / "fixed.tflite").input_details[0].shape[0] == 4
    assert LiteRTModel(folder / "int8.tflite").weight_dtypes["int8"] == 15


def test_quantization_rounds_and_clips():
    details = TensorDetails("x", (None, 1), "int8", 0.5, 10, 0)
    values = np.array([0.0, 0.26, 0.24, -0.26, 1e6, -1e6])
    expected = np.array([10, 11, 10, 9, 127, -128], "int8")
    np.testing.assert_array_equal(details.encode(values), expected)
    decoded = details.decode(np.array([10, 12, -128], "int8"))
    np.testing.assert_array_equal(decoded, np.float32([0, 1, -69]))
    with pytest.raises(ValueError, match="finite numbers"):
        details.encode(np.array([np.nan]))


def test_indices_must_be_whole():
    details = TensorDetails("ids", (None, 1), "int32", 0.0, 0, 0)
    assert details.encode(np.array([1, 2], "int64")).dtype == np.int32
    with pytest.raises(ValueError, match="whole numbers that int32 can hold"):
        details.encode(np.array([1.5]))


def test_wrong_inputs_say_what_is_expected(folder, x):
    model = LiteRTModel(folder / "open.tflite")
    with pytest.raises(ValueError, match=r"of shape \(None, 5\).*\(11, 4\)"):
        model.predict(x[:, :4])
    with pytest.raises(ValueError, match="to be the inputs 'x'"):
        model.predict({"y": x})
    with pytest.raises(ValueError, match="to be the inputs 'x'"):
        model.predict([x, x])
    with pytest.raises(ValueError, match="at least one example"):
        model.predict(x[:0])
    model.close()
    with pytest.raises(ValueError, match="was closed"):
        model.predict(x)


@pytest.mark.parametrize("length", [0, 7, 100, -8])
def test_a_truncated_file_is_refused(folder, tmp_path, length):
    content = (folder / "open.tflite").read_bytes()
    path = tmp_path / "cut.tflite"
    path.write_bytes(content[:length])
    with pytest.raises(ValueError, match="whole LiteRT"):
        LiteRTModel(path)


def test_a_missing_file_and_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="to be an existing file"):
        LiteRTModel(tmp_path / "missing.tflite")
    path = tmp_path / "text.tflite"
    path.write_text("not a model, and long enough to be one")
    with pytest.raises(ValueError, match="does not begin as LiteRT files do"):
        LiteRTModel(path)


def test_flex_operators_are_refused(tmp_path):
    student = keras.Sequential([keras.Input((3, 2)), keras.layers.LSTM(2)])
    student.export(tmp_path / "saved", format="tf_saved_model", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(tmp_path / "saved")
    )
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS,
        tf.lite.OpsSet.SELECT_TF_OPS,
    ]
    path = tmp_path / "flex.tflite"
    path.write_bytes(converter.convert())
    with pytest.raises(ValueError, match="FlexTensorListReserve"):
        LiteRTModel(path)
