"""Students made again: names, weights, saving, distilling, refusals."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from toys import FROM_LOGITS
from toys import FeatureMSE

import keras_kd
from keras_kd import quantization
from keras_kd import students
from keras_kd.core.taps import Tap
from keras_kd.core.taps import output_kind
from keras_kd.quantization import fixed_ranges
from keras_kd.quantization import is_quantize_aware
from keras_kd.quantization import quantize_aware


def names(model):
    return {layer.name for layer in model.layers}


@pytest.mark.slow
def test_every_layer_keeps_its_name(convnet, aware):
    assert aware.name == convnet.name
    assert names(convnet) <= names(aware)
    assert aware.get_layer("logits_quantized").output is aware.output
    assert is_quantize_aware(aware)
    assert not is_quantize_aware(convnet)


@pytest.mark.slow
def test_taps_read_the_values_of_the_layers(convnet, aware, digits):
    x = digits[1][0][:100]
    places = ["stage_1", "stage_2_conv_1_norm", "pool"]
    places = [name for name in places if name in names(convnet)]
    assert "stage_1" in places
    float_values = Tap(convnet, places)(x).features
    found = Tap(aware, places)(x).features
    for name in places:
        gap = np.abs(found[name] - float_values[name]).mean()
        assert gap < 0.2 * np.std(float_values[name])
    grid = Tap(aware, ["stage_1", "stage_1_quantized"])(x).features
    step = float(aware.get_layer("stage_1_quantized").high) / 255
    values = np.asarray(grid["stage_1"])
    gap = np.abs(values - grid["stage_1_quantized"])[values > 0]
    # Rounding errors are uniform between 0 and half a step.
    assert 0.2 * step < np.median(gap) < 0.3 * step


@pytest.mark.slow
def test_a_new_student_has_the_weights_and_rounds_them(convnet, digits):
    """Nothing but the weights is rounded before data was seen."""
    before = [value.copy() for value in convnet.get_weights()]
    model = quantize_aware(convnet)
    x = digits[1][0]
    expected = np.asarray(convnet(x))
    gap = np.abs(np.asarray(model(x)) - expected)
    assert 0 < gap.max() < 0.02 * np.ptp(expected)
    for old, new in zip(before, convnet.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.slow
def test_saved_and_loaded(aware, digits, tmp_path):
    x = digits[1][0]
    aware.save(tmp_path / "aware.keras")
    loaded = keras.models.load_model(tmp_path / "aware.keras")
    expected = np.asarray(aware(x))
    np.testing.assert_array_equal(np.asarray(loaded(x)), expected)
    with fixed_ranges(loaded):
        np.testing.assert_allclose(
            loaded.predict(x[:9], verbose=0), expected[:9], atol=0.2
        )


@pytest.mark.slow
def test_an_epoch_under_the_teacher_costs_no_accuracy(convnet, digits):
    train, test = digits
    before = convnet.evaluate(*test, verbose=0)[1]
    for arguments in ({}, {"activations": "learned_step", "delay": 5}):
        keras.utils.set_random_seed(0)
        model = quantize_aware(convnet, **arguments)
        distiller = keras_kd.Distiller(convnet, model, alpha=0.9)
        distiller.compile(
            keras.optimizers.Adam(1e-4), FROM_LOGITS, metrics=["accuracy"]
        )
        distiller.fit(*train, batch_size=64, verbose=0)
        after = distiller.evaluate(*test, verbose=0, return_dict=True)
        assert after["accuracy"] >= before - 0.01


@pytest.mark.slow
def test_a_distiller_with_a_feature_loss_trains_it(convnet, digits):
    model = quantize_aware(convnet)
    loss = FeatureMSE(teacher_layer="stage_1", student_layer="stage_1")
    distiller = keras_kd.Distiller(convnet, model, [loss], alpha=0.5)
    distiller.compile("adam", FROM_LOGITS)
    logs = distiller.fit(*digits[0], batch_size=500, verbose=0).history
    assert 0 < logs["feature_mse"][0] < 1
    assert all(
        int(layer.steps) == 3
        for layer in model.layers
        if layer.name.endswith("_quantized")
    )


def test_nested_and_shared_layers():
    block = keras.Sequential(
        [
            keras.Input((6, 6, 4)),
            layers.Conv2D(4, 3, padding="same", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
        ],
        name="block",
    )
    shared = layers.Conv2D(4, 1, name="shared")
    inputs = keras.Input((6, 6, 4))
    x = block(shared(block(inputs)))
    outputs = layers.Dense(3, name="logits")(layers.Flatten()(shared(x)))
    student = keras.Model(inputs, outputs)
    model = quantize_aware(student)
    x = np.random.default_rng(0).normal(size=(20, 6, 6, 4)).astype("float32")
    found, expected = model(x), student(x)
    assert np.abs(found - expected).max() < 0.03 * np.ptp(expected)
    model(x, training=True)
    assert {"block", "norm"} <= names(model)
    assert len(model.get_layer("shared").weights) == 2
    again = keras.models.clone_model(model)
    assert names(again) == names(model)


@pytest.mark.parametrize("head", ["softmax", "sigmoid", "linear"])
def test_what_the_outputs_are_is_still_known(head):
    student = keras.Sequential(
        [keras.Input((5,)), layers.Dense(3, head, name="head")]
    )
    model = quantize_aware(student)
    assert output_kind(model) == output_kind(student)
    assert "head" in names(model)
    x = np.ones((2, 5), "float32")
    tap = Tap(model)
    tap.model(x, training=True)
    logits = tap(x).logits
    if head == "softmax":
        # Before the activation, so that none is rounded to 0.
        np.testing.assert_allclose(
            keras.ops.softmax(logits), tap(x).predictions, atol=1e-6
        )


def test_layers_that_int8_does_not_have_are_counted_and_named():
    student = keras.Sequential(
        [
            keras.Input((8, 4), name="x"),
            layers.Dense(4, "elu", name="curved"),
            layers.LayerNormalization(name="norm"),
            layers.LSTM(3, name="memory"),
            layers.Dropout(0.5),
            layers.Dense(2),
        ],
        name="student",
    )
    with pytest.warns(UserWarning, match="quantize_aware") as caught:
        model = quantize_aware(student)
    (warning,) = caught
    assert str(warning.message) == (
        "`quantize_aware`: 3 layers stay in float32 in `student`: curved, "
        "norm, memory. int8 does not have them. The input x is therefore not "
        "rounded, and the inputs of the file are in float32."
    )
    x = np.random.default_rng(0).normal(size=(4, 8, 4)).astype("float32")
    np.testing.assert_allclose(model(x), student(x), atol=0.02)


def test_nothing_is_warned_of_without_reason():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        quantize_aware(students.resnet((8, 8, 1), 3, depth=8, width=0.25))


SUBJECT = "`quantize_aware` needs "


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"weights": "channel"}, ValueError, "Did you mean 'per_channel'"),
        ({"activations": "lsq"}, ValueError, "'moving_range', 'learned_step'"),
        ({"delay": -1}, ValueError, "`delay` to be an integer of at least 0"),
        ({"delay": 1.5}, TypeError, "`delay` to be an integer"),
        ({"momentum": 1.0}, ValueError, "`momentum` to be a number below 1"),
        ({"momentum": float("nan")}, ValueError, "`momentum` to be a finite"),
    ],
    ids=str,
)
def test_bad_arguments(small, arguments, error, text):
    with pytest.raises(error, match=text):
        quantize_aware(small, **arguments)


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def test_bad_students(small_aware):
    with pytest.raises(TypeError, match="Received: student='convnet'"):
        quantize_aware("convnet")
    for student in (Subclassed(), keras.Sequential([layers.Dense(3)])):
        with pytest.raises(ValueError, match="built Functional or Sequential"):
            quantize_aware(student)
    with pytest.raises(ValueError, match="quantize-aware already"):
        quantize_aware(small_aware)
    inputs = keras.Input((4,))
    mixed = layers.Dense(2, dtype="mixed_float16", name="half")(inputs)
    with pytest.raises(ValueError, match="`half` has the policy 'mixed_floa"):
        quantize_aware(keras.Model(inputs, mixed))


def test_constants_need_data(small):
    model = quantize_aware(small)
    with (
        pytest.raises(ValueError, match=r"5 of its 5 ranges have seen no"),
        fixed_ranges(model),
    ):
        pass


def test_what_the_package_offers():
    assert quantization.__all__ == [
        "fixed_ranges",
        "has_float_ends",
        "has_float_outputs",
        "is_quantize_aware",
        "num_float_weights",
        "quantize_aware",
        "simulated_runtime",
    ]


def test_saved_files_find_their_layers():
    """By these names, wherever the classes live."""
    registered = keras.saving.get_custom_objects()
    for name in (
        "FixedRange",
        "FloatEnd",
        "LearnedStep",
        "MovingRange",
        "QuantizedAbsolute",
        "QuantizedActivation",
        "QuantizedAdd",
        "QuantizedBatchNormalization",
        "QuantizedConv1D",
        "QuantizedConv2D",
        "QuantizedConv2DTranspose",
        "QuantizedDense",
        "QuantizedDepthwiseConv2D",
        "QuantizedEmbedding",
        "QuantizedGlobalAveragePooling2D",
        "QuantizedHardSwish",
        "QuantizedMultiply",
        "QuantizedNormalization",
        "QuantizedRescaling",
        "QuantizedSubtract",
    ):
        assert registered[f"keras_kd>{name}"].__name__ == name


def test_lookups_stay_in_float_with_their_vocabulary():
    lookup = keras.layers.StringLookup(output_mode="one_hot", name="words")
    lookup.adapt(tf.constant([["blue"], ["red"], ["red"]]))
    words = keras.Input((1,), dtype="string", name="word")
    size = keras.Input((2,), name="size")
    x = keras.layers.Concatenate()([size, lookup(words)])
    outputs = keras.layers.Dense(2, name="head")(x)
    student = keras.Model({"word": words, "size": size}, outputs)
    with pytest.warns(UserWarning, match="1 layer stays in float32.*: words"):
        aware = quantize_aware(student)
    data = {
        "word": tf.constant([["red"], ["blue"], ["pink"]] * 4),
        "size": tf.random.uniform((12, 2), seed=1),
    }
    aware(data, training=True)  # The ranges follow the data.
    expected = student(data).numpy()
    got = aware(data).numpy()
    assert np.abs(got - expected).max() < 0.05 * np.ptp(expected)
