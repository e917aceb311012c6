"""students.shrink: preprocessing in front, ends without weights, steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_kd.students import shrink

WORDS = tf.constant(["red blue", "blue", "green red red"])
NUMBERS = np.array([[3.0], [5.0], [9.0]], "float32")
SOUND = np.sin(np.arange(2 * 64, dtype="float32")).reshape(2, 64, 1)


def adapted(layer, data):
    layer.adapt(data)
    return layer


FRONT = {
    "words": (
        lambda: adapted(layers.TextVectorization(output_mode="count"), WORDS),
        WORDS,
    ),
    "weighted words": (
        lambda: adapted(layers.TextVectorization(output_mode="tf_idf"), WORDS),
        WORDS,
    ),
    "strings": (
        lambda: layers.StringLookup(vocabulary=["red"], output_mode="one_hot"),
        WORDS[:, None],
    ),
    "integers": (
        lambda: adapted(
            layers.IntegerLookup(output_mode="one_hot"), [[3], [5]]
        ),
        NUMBERS.astype("int64"),
    ),
    "hashes": (
        lambda: layers.Hashing(4, salt=3, output_mode="one_hot"),
        NUMBERS.astype("int64"),
    ),
    "categories": (lambda: layers.CategoryEncoding(10), NUMBERS),
    "bins": (
        lambda: adapted(
            layers.Discretization(num_bins=3, output_mode="one_hot"), NUMBERS
        ),
        NUMBERS,
    ),
    "statistics": (
        lambda: adapted(layers.Normalization(axis=None), NUMBERS),
        NUMBERS,
    ),
    "spectrogram": (
        lambda: layers.STFTSpectrogram(frame_length=16, frame_step=8),
        SOUND,
    ),
    "mel spectrogram": (
        lambda: layers.MelSpectrogram(32, 16, num_mel_bins=8),
        SOUND[..., 0],
    ),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case, marks=[pytest.mark.slow] * (case == "mel spectrogram")
        )
        for case in FRONT
    ],
)
def test_a_front_end_is_kept_with_its_state(case):
    build, x = FRONT[case]
    front = build()
    inputs = keras.Input(
        x.shape[1:], dtype=keras.backend.standardize_dtype(x.dtype)
    )
    h = front(inputs)
    for weight in front.trainable_weights:  # As after training.
        weight.assign(weight * 1.25)
    h = layers.Dense(32)(layers.Flatten()(h))
    teacher = keras.Model(inputs, layers.Dense(2)(h))
    for initialize in (None, "teacher"):
        student = shrink(teacher, width=0.5, initialize=initialize)
        kept = student.get_layer(front.name)
        assert kept is not front
        np.testing.assert_allclose(kept(x), front(x), rtol=1e-6)
        sizes = [student.layers[-2].units, student.output.shape]
        assert sizes == [16, (None, 2)]
    whole = shrink(teacher, width=1.0, initialize="teacher")
    np.testing.assert_allclose(whole(x), teacher(x), rtol=1e-5, atol=1e-6)


@keras.saving.register_keras_serializable("tests")
class Filterbank(layers.Layer):
    """A fixed matrix, never trained."""

    def build(self, input_shape):
        self.bank = self.add_weight(
            shape=(input_shape[-1], 5), initializer="normal", trainable=False
        )

    def call(self, inputs):
        return inputs @ self.bank


def test_fixed_weights_of_an_own_class_are_copied():
    inputs = keras.Input((4,))
    h = layers.Dense(16)(Filterbank(name="bank")(inputs))
    teacher = keras.Model(inputs, layers.Dense(2)(h))
    student = shrink(teacher, width=0.5)
    np.testing.assert_array_equal(
        student.get_layer("bank").bank, teacher.get_layer("bank").bank
    )


def test_a_frozen_spectrogram_stays_frozen():
    inputs = keras.Input((64, 1))
    front = layers.STFTSpectrogram(
        frame_length=16, frame_step=8, trainable=False
    )
    h = layers.Dense(16)(layers.Flatten()(front(inputs)))
    student = shrink(keras.Model(inputs, layers.Dense(2)(h)), width=0.5)
    assert not student.get_layer(front.name).trainable_variables


def residual(x):
    return layers.Add()([x, layers.Dense(16, "relu")(x)])


ENDS = {
    "unit vectors": layers.UnitNormalization(),
    "rescaling": layers.Rescaling(4.0, offset=1.0),
    "activation": layers.Activation("tanh"),
    "normalization behind": layers.BatchNormalization(),
    "operator": lambda x: x * 3.0,
    "residual": residual,
}


@pytest.mark.parametrize("case", ENDS)
def test_what_has_no_weights_at_the_end_is_kept(case):
    inputs = keras.Input((6,))
    h = layers.Dense(32, "relu", name="hidden")(inputs)
    h = layers.Dense(16, name="embedding")(h)
    teacher = keras.Model(inputs, ENDS[case](h))
    student = shrink(teacher, width=0.5, initialize="teacher")
    assert student.get_layer("hidden").units == 16
    assert student.get_layer("embedding").units == 16
    assert student.output.shape == teacher.output.shape
    x = np.linspace(-1, 1, 18, dtype="float32").reshape(3, 6)
    # Only the hidden layer changed, so the end computes the same of it.
    inner = keras.Model(student.input, student.get_layer("embedding").output)
    tail = keras.Model(teacher.get_layer("embedding").output, teacher.output)
    np.testing.assert_allclose(student(x), tail(inner(x)), rtol=1e-5)


def test_probabilities_stay_if_something_is_computed_of_them():
    inputs = keras.Input((6,))
    h = layers.Dense(32)(inputs)
    h = layers.Dense(3, "sigmoid", name="pixels")(h)
    teacher = keras.Model(inputs, layers.Rescaling(255.0)(h))
    student = shrink(teacher, width=0.5)
    assert student.get_layer("pixels").activation is keras.activations.sigmoid


def test_a_block_at_the_end_keeps_the_width():
    inputs = keras.Input((5, 6))
    h = layers.Dense(16, name="tokens")(layers.Dense(32, name="first")(inputs))
    h = layers.Add()([h, layers.MultiHeadAttention(2, 8)(h, h)])
    student = shrink(keras.Model(inputs, h), width=0.5)
    assert student.output.shape == (None, 5, 16)
    assert student.get_layer("first").units == 16


@pytest.mark.slow
def test_steps_are_narrowed_inside():
    inputs = keras.Input((4, 6, 6, 3))
    each = layers.TimeDistributed
    h = each(layers.Conv2D(16, 3, activation="relu"), name="maps")(inputs)
    h = each(layers.BatchNormalization())(h)
    h = each(layers.DepthwiseConv2D(2, depth_multiplier=2))(h)
    h = each(layers.MaxPooling2D())(h)
    h = each(layers.Flatten())(h)
    h = layers.RepeatVector(3)(layers.GRU(16)(h))
    h = each(layers.Dense(2, "softmax"), name="head")(h)
    teacher = keras.Model(inputs, h)
    student = shrink(teacher, width=0.5, initialize="teacher")
    assert student.get_layer("maps").layer.filters == 8
    assert student.get_layer("head").layer.units == 2
    # The filters of the largest norms, in their order.
    kernel = teacher.get_layer("maps").layer.kernel.numpy()
    best = np.sort(np.argsort(-np.abs(kernel).sum((0, 1, 2)))[:8])
    np.testing.assert_array_equal(
        student.get_layer("maps").layer.kernel, kernel[..., best]
    )
    x = np.random.default_rng(0).random((2, 4, 6, 6, 3), "float32")
    whole = shrink(teacher, width=1.0, initialize="teacher")
    np.testing.assert_allclose(
        tf.nn.softmax(whole(x)), teacher(x), rtol=1e-4, atol=1e-6
    )
    assert shrink(teacher, num_classes=5).output.shape == (None, 3, 5)
