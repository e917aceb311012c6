"""Constants give the model's own outputs, or the model runs as it is."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_kd.core import frozen as module
from keras_kd.core.frozen import Frozen

layers = keras.layers
ROWS = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
TOKENS = np.array([[1, 2, 0]])
IMAGES = np.random.default_rng(1).random((2, 6, 6, 3), "float32")


def chain(shape, *parts, dtype="float32"):
    inputs = x = keras.Input(shape, dtype=dtype)
    for part in parts:
        x = part(x)
    model = keras.Model(inputs, x, name="teacher")
    rng = np.random.default_rng(2)
    for weight in model.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


def normed():
    return chain(
        (6, 6, 3),
        layers.Conv2D(4, 3),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(2),
    )


def half():
    policy = keras.dtype_policies.DTypePolicy("mixed_float16")
    return chain(
        (6, 6, 3),
        layers.Conv2D(4, 3, dtype=policy),
        layers.BatchNormalization(dtype=policy),
        layers.Flatten(),
        layers.Dense(2),
    )


def attending():
    embedding = layers.Embedding(9, 4, mask_zero=True)
    attention = layers.MultiHeadAttention(2, 2)
    return chain((None,), embedding, lambda x: attention(x, x), dtype="int32")


def headed():
    heads = {"a": layers.Dense(2), "b": layers.Dense(3)}
    return chain((5,), lambda x: {key: head(x) for key, head in heads.items()})


def recurrent():
    return chain((None,), layers.Embedding(9, 4), layers.LSTM(3), dtype="int32")


def looking_up():
    return chain(
        (1,),
        layers.StringLookup(vocabulary=["a", "b"]),
        layers.Embedding(9, 4),
        dtype="string",
    )


class Sampled(keras.Layer):
    def build(self, shape):
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x), seed=self.seeds)


class OnHost(keras.Layer):
    def call(self, x):
        double = tf.numpy_function(lambda array: 2 * array, [x], tf.float32)
        return tf.ensure_shape(double, x.shape)


def traced(function):
    """Return the function in a graph, without autograph's own changes."""
    return tf.function(lambda x: function(x), autograph=False)


@pytest.mark.parametrize(
    ("make", "x"),
    [
        (normed, IMAGES),
        (half, IMAGES),
        (attending, TOKENS),
        (headed, ROWS),
    ],
)
def test_outputs_are_the_models_own(make, x):
    model = make()
    spec = tf.TensorSpec((None, *x.shape[1:]), x.dtype)
    graph = traced(Frozen(model, [model])).get_concrete_function(spec)
    assert not graph.captured_inputs, "no variable is read"
    plain = traced(model).get_concrete_function(
        *graph.structured_input_signature[0]
    )
    assert graph.output_shapes == plain.output_shapes
    expected, outputs = model(x, training=False), graph(tf.constant(x))
    keras.tree.map_structure(
        lambda one, other: np.testing.assert_allclose(
            one, other, rtol=1e-6, atol=1e-6
        ),
        outputs,
        expected,
    )


@pytest.mark.parametrize(
    ("make", "x", "reason"),
    [
        (recurrent, TOKENS, "operation While"),
        (looking_up, np.array([["a"]]), "operation LookupTableFind"),
        (lambda: chain((5,), Sampled()), ROWS, "operation Assign"),
        (lambda: chain((5,), OnHost()), ROWS, "operation PyFunc"),
    ],
)
def test_what_is_no_constant_runs_as_it_is(make, x, reason, caplog):
    caplog.set_level("INFO", "keras_kd")
    model = make()
    frozen = Frozen(model, [model])
    for _ in range(2):
        graph = traced(frozen).get_concrete_function(x)
        assert graph(x).shape == model(x).shape
    assert [reason in message for message in caplog.messages] == [True]
    assert "`teacher` runs as it is" in caplog.text


def test_random_layers_stay_random():
    model = chain((5,), Sampled())
    graph = traced(Frozen(model, [model]))
    assert (graph(ROWS).numpy() != graph(ROWS).numpy()).any()


def test_too_many_weights(monkeypatch, caplog):
    caplog.set_level("INFO", "keras_kd")
    model = chain((5,), layers.Dense(2))
    monkeypatch.setattr(module, "MOST_BYTES", 47)
    traced(Frozen(model, [model]))(ROWS)
    assert "its weights take 48 bytes, more than 47" in caplog.text


def test_an_error_of_the_model_is_its_own(caplog):
    caplog.set_level("INFO", "keras_kd")
    model = chain((5,), layers.Dense(2))

    def wrong(x):
        raise KeyError("of the model")

    with pytest.raises(KeyError, match="of the model"):
        traced(Frozen(wrong, [model]))(ROWS)
    assert not caplog.messages


def test_changed_weights_are_noticed():
    model = normed()
    frozen = Frozen(model, [model])
    assert not frozen.changed(), "nothing was traced"
    before = traced(frozen)
    np.testing.assert_allclose(before(IMAGES), model(IMAGES), rtol=1e-5)
    assert not frozen.changed()
    model.layers[2].moving_mean.assign_add([0, 0, 0, 1e-3])
    assert frozen.changed()
    frozen.forget()
    np.testing.assert_allclose(traced(frozen)(IMAGES), model(IMAGES), rtol=1e-5)
    assert not frozen.changed()
    model.set_weights(model.get_weights())
    assert not frozen.changed(), "the same values"


def test_outside_a_graph_the_model_itself_runs():
    calls = []

    def function(x):
        calls.append(tf.executing_eagerly())
        return x

    Frozen(function, [chain((5,), layers.Dense(2))])(ROWS)
    assert calls == [True]
