"""Integers of 16 bits, weights of 4, and what the arithmetic must give."""

import importlib.util

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from restated import clipping_error
from restated import four_bit_steps
from restated import four_bits

from keras_kd import export
from keras_kd import students
from keras_kd.core.errors import ExportMismatchError
from keras_kd.evaluation.litert import LiteRTModel
from keras_kd.export.kinds import CALIBRATED
from keras_kd.export.kinds import KINDS
from keras_kd.export.kinds import MIXED
from keras_kd.export.kinds import QUANTIZATIONS

pytestmark = pytest.mark.export

needs_quantizer = pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_quantizer") is None,
    reason="needs ai_edge_quantizer: pip install 'keras-kd[quantizer]'",
)


@pytest.fixture(scope="module")
def wide(tmp_path_factory, student, data):
    """The int16x8 file of a trained student, and its verification."""
    path = tmp_path_factory.mktemp("wide") / "student.tflite"
    return path, export.tflite(student, path, "int16x8", data[0], data)


def test_int16x8_has_16_bit_ends_and_8_bit_weights(wide, student):
    path, result = wide
    assert (result.input_dtype, result.output_dtype) == ("int16", "int16")
    kernels = [w.size for w in student.get_weights() if w.ndim > 1]
    assert result.weight_dtypes["int8"] == sum(kernels)
    # The biases, the first layer's made of its batch normalization.
    assert result.weight_dtypes["int64"] == 8 + 16 + 40 + 3
    assert set(result.operators) >= {"CONV_2D", "FULLY_CONNECTED"}
    scales = [d.scale for d in LiteRTModel(path).input_details]
    # Symmetric: the largest input is 32,767 steps.
    np.testing.assert_allclose(scales, [1.0 / 32767], rtol=0.02)


def test_int16x8_is_nearer_than_int8(wide, student, data, tmp_path):
    expected = student.predict(data[0], verbose=0)
    path = tmp_path / "int8.tflite"
    export.tflite(student, path, "int8", data[0], data)
    difference = {
        name: np.abs(LiteRTModel(file).predict(data[0]) - expected).mean()
        for name, file in (("int8", path), ("int16x8", wide[0]))
    }
    assert difference["int16x8"] < difference["int8"]


@needs_quantizer
def test_int4_weights_are_15_values_a_channel(tmp_path):
    keras.utils.set_random_seed(0)
    student = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dense(48, use_bias=False)]
    )
    path = tmp_path / "student.tflite"
    x = np.random.default_rng(0).normal(size=(50, 64)).astype("float32")
    result = export.tflite(student, path, "int4_weights", verify=x)
    assert result.kind == "int4_weights"
    assert result.weight_dtypes == {"int4": 64 * 48}
    kernel = np.float64(student.get_weights()[0])
    step = _steps(path)
    expected = x @ four_bits(kernel, step)
    found = LiteRTModel(path).predict(x)
    # The activations are rounded to 8 bits as they come: 1/254 of 64 terms.
    np.testing.assert_allclose(found, expected, atol=0.03 * np.ptp(expected))
    exact = np.abs(x @ kernel - expected).max()
    assert exact > 2 * np.abs(found - expected).max()
    # Clipped about as well as by the best of a thousand clips, and better than
    # to the largest weight.
    error = clipping_error(kernel, 7 * step)
    best = clipping_error(kernel, 7 * four_bit_steps(kernel))
    largest = clipping_error(kernel, np.abs(kernel).max(axis=0))
    assert error.mean() < 1.03 * best.mean() < 0.97 * largest.mean()


def _steps(path):
    """The steps of the channels of a file's only kernel."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes()))
    (kernel,) = [
        tensor
        for tensor in model.subgraphs[0].tensors
        if tensor.type == schema.TensorType.INT4
    ]
    return kernel.quantization.scale


@needs_quantizer
def test_int4_files_are_an_eighth(student, data, tmp_path):
    paths = {k: tmp_path / f"{k}.tflite" for k in ("float32", "int4_weights")}
    results = export.tflite_files(student, paths, verify=data)
    sizes = {kind: result.size_bytes for kind, result in results.items()}
    # What is not weights stays: some 6 kB.
    assert sizes["int4_weights"] - 6000 < sizes["float32"] / 8
    assert results["int4_weights"].accuracy >= 0.9


@needs_quantizer
def test_int4_weights_behind_the_flatbuffer_are_put_inside(tmp_path):
    # The quantizer appends weights from 256 kB on; the card would move them.
    student = keras.Sequential(
        [keras.Input((640,)), keras.layers.Dense(1024, use_bias=False)]
    )
    path = tmp_path / "student.tflite"
    result = export.tflite(student, path, "int4_weights")
    assert result.weight_dtypes == {"int4": 640 * 1024}
    assert result.size_bytes > 640 * 1024 / 2
    model = schema.Model.GetRootAs(path.read_bytes())
    held = [model.Buffers(i) for i in range(model.BuffersLength())]
    assert not any(buffer.Offset() or buffer.Size() for buffer in held)
    assert sum(b.DataLength() for b in held) > 640 * 1024 / 2
    assert export.read_card(path)["quantization"] == "int4_weights"


@needs_quantizer
def test_the_smallest_layers_keep_8_bits(tmp_path):
    layers = keras.layers
    student = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(16, 3, use_bias=False),
            layers.DepthwiseConv2D(3, use_bias=False),
            layers.Conv2D(32, 3, use_bias=False),
            layers.Conv2D(64, 3, use_bias=False),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, use_bias=False),
        ]
    )
    result = export.tflite(student, tmp_path / "x.tflite", "int4_weights")
    # The first convolution and the head hold 4 % of what can have 4 bits, a
    # third one would be too much; the depthwise kernel never has.
    eight = 9 * 3 * 16 + 9 * 16 + 64 * 10
    four = 9 * 16 * 32 + 9 * 32 * 64
    biases = 16 + 32 + 64  # that the converter adds
    assert result.weight_dtypes == {
        "float32": biases,
        "int8": eight,
        "int4": four,
    }


@needs_quantizer
def test_embeddings_do_not_pass_as_int4(tmp_path):
    student = students.text_cnn((9,), 3, width=0.1, vocabulary_size=5000)
    path = tmp_path / "x.tflite"
    with pytest.raises(
        ExportMismatchError,
        match=r"float32: it has no 4-bit .* embeddings\. Use",
    ):
        export.tflite(student, path, "int4_weights")
    assert not list(tmp_path.iterdir())


def test_int4_weights_without_the_extra(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ai_edge_quantizer", None)
    with pytest.raises(ImportError, match=r"'keras-kd\[quantizer\]'"):
        export.tflite(tiny, tmp_path / "x.tflite", "int4_weights")
    assert not list(tmp_path.iterdir())


def test_every_kind_says_what_it_takes():
    assert set(QUANTIZATIONS) == set(KINDS) - {
        "saved_model",
        "onnx",
        MIXED,
    }
    assert CALIBRATED == ("int8", "int16x8")
    order = ["float32", "float16", "int16x8", "int8", "int4_weights"]
    shares = [KINDS[kind].tolerance for kind in order]
    assert shares == sorted(shares)
