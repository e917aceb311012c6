"""First and last layers that stay in float32, in the file too."""

import keras
import numpy as np
import pytest
from keras import layers
from small_families import small

from keras_kd import export
from keras_kd import quantization
from keras_kd.core.taps import Tap
from keras_kd.core.taps import output_kind
from keras_kd.evaluation.tflite_file import read_file
from keras_kd.export.context import Context
from keras_kd.export.conversion.result import check_floats
from keras_kd.export.opened import open_file
from keras_kd.quantization import quantize_aware
from keras_kd.quantization.layers.weighted import QuantizedKernel


def student():
    """Rescaling and a nested stem, a shortcut from the input, two heads."""
    stem = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.Conv2D(3, 1, name="second"),
        ],
        name="stem",
    )
    inputs = keras.Input((8, 8, 3), name="image")
    x = stem(layers.Rescaling(2.0, -1.0, name="scaled")(inputs))
    x = layers.Add(name="shortcut")([x, inputs])
    x = layers.Conv2D(16, 3, activation="relu", name="middle")(x)
    pooled = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(5, name="logits")(pooled)
    side = layers.Dense(4, activation="softmax", name="side")(pooled)
    return keras.Model(inputs, [logits, layers.Flatten(name="flat")(side)])


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((40, 8, 8, 3)).astype("float32")


@pytest.fixture(scope="module")
def mixed(images):
    """The student with float ends, after some data."""
    model = quantize_aware(student(), first_last="float")
    for _ in range(3):
        model(images, training=True)
    return model


def inner(model):
    """Layers by name, those of nested models too."""
    return {layer.name: layer for layer in model._flatten_layers()}


def test_which_layers_stay(mixed):
    found = inner(mixed)
    assert {"scaled", "relu", "shortcut", "pool", "flat"} <= set(found)
    for name in ("scaled", "conv", "norm", "logits", "side"):
        assert type(found[name]).__module__.startswith("keras.")
    for name in ("second", "middle"):
        assert isinstance(found[name], QuantizedKernel)
    # The addition computes in int8, the layers around it do not.
    rounding = {name for name in found if name.endswith("_quantized")}
    assert rounding == {
        "image_quantized",
        "middle_quantized",
        "pool_quantized",
        "relu_quantized",
        "second_quantized",
        "shortcut_quantized",
    }
    assert quantization.num_float_weights(mixed) == 9 * 3 * 8 + 16 * (5 + 4)


@pytest.mark.slow
def test_first_layers_and_outputs_are_not_rounded(mixed, images):
    plain = student()
    for name, layer in inner(mixed).items():
        if name in ("conv", "norm"):
            inner(plain)[name].set_weights(layer.get_weights())
    np.testing.assert_allclose(
        Tap(mixed, ["stem/relu"])(images).features["stem/relu"],
        Tap(plain, ["stem/relu"])(images).features["stem/relu"],
        atol=1e-5,
    )
    grid = np.unique(Tap(mixed, ["pool"])(images).features["pool"])
    assert len(grid) > 256
    assert len(np.unique(np.asarray(mixed(images)[0]))) == 40 * 5


@pytest.mark.slow
@pytest.mark.export
def test_the_file_has_them_in_float(mixed, images, tmp_path):
    mixed.save(tmp_path / "mixed.keras")
    loaded = keras.models.load_model(tmp_path / "mixed.keras")
    path = tmp_path / "mixed.tflite"
    result = export.tflite(loaded, path, "int8", verify=images)
    assert (result.kind, result.passed) == ("mixed_int8", True)
    assert (result.input_dtype, result.output_dtype) == (
        "float32",
        "float32, float32",
    )
    # Measured: 3e-8.
    assert result.max_abs_difference < 0.01 * result.output_range
    stored = {
        (tensor.dtype, tensor.shape)
        for graph in read_file(path.read_bytes()).graphs
        for tensor in graph.tensors
    }
    kernels = {(8, 3, 3, 3), (3, 1, 1, 8), (16, 3, 3, 3), (5, 16), (4, 16)}
    assert {pair for pair in stored if pair[1] in kernels} == {
        ("float32", (8, 3, 3, 3)),
        ("int8", (3, 1, 1, 8)),
        ("int8", (16, 3, 3, 3)),
        ("float32", (5, 16)),
        ("float32", (4, 16)),
    }
    assert export.read_card(path)["quantization"] == "mixed_int8"


@pytest.mark.export
def test_a_file_without_them_is_refused(images, tmp_path):
    """As it would be if the converter rounded what was to stay."""
    plain = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, name="logits"),
        ]
    )
    whole = quantize_aware(plain)
    whole(images, training=True)
    path = tmp_path / "whole.tflite"
    export.tflite(whole, path, "int8", verify=False)
    mixed = quantize_aware(plain, first_last="float")
    text = "300 weights of `sequential.*` were to stay .* left 0. Use `first"
    with pytest.raises(export.ExportMismatchError, match=text):
        check_floats(Context("test", mixed), open_file(path, "test"))


@pytest.mark.parametrize("head", ["softmax", "linear"])
def test_what_the_outputs_are_is_still_known(head):
    plain = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(4, "relu"),
            layers.Dense(4, "relu"),
            layers.Dense(3, head, name="head"),
        ]
    )
    model = quantize_aware(plain, first_last="float")
    assert output_kind(model) == output_kind(plain)
    tap = Tap(model)
    tap.model(np.ones((2, 5), "float32"), training=True)
    outputs = tap(np.ones((2, 5), "float32"))
    predictions = np.asarray(outputs.predictions)
    if head == "softmax":
        logits = keras.ops.softmax(outputs.logits)
        np.testing.assert_allclose(predictions, logits, atol=1e-6)


def test_embeddings_stay_in_8_bits():
    with pytest.warns(UserWarning, match="1 layer stays"):
        model = quantize_aware(small("text_cnn"), first_last="float")
    found = {name: type(layer).__name__ for name, layer in inner(model).items()}
    assert found["embedding"] == "QuantizedEmbedding"
    assert found["logits"] == "Dense"
    assert "QuantizedConv1D" in found.values()


def test_refusals():
    plain = keras.Sequential(
        [keras.Input((5,)), layers.Dense(4, "relu"), layers.Dense(3)]
    )
    with pytest.raises(ValueError, match="'int8' for a student that has no"):
        quantize_aware(plain, first_last="float")
    with pytest.raises(ValueError, match="`first_last` to be .*'int8', 'flo"):
        quantize_aware(plain, first_last="float32")
