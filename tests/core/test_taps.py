"""Logits and layers of any model, in one pass."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_kd.core.taps import Tap
from keras_kd.core.taps import class_logits
from keras_kd.core.taps import input_spec
from keras_kd.core.taps import output_kind

X = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")


def functional(make_head):
    inputs = keras.Input((6,))
    x = layers.Dense(4, "relu", name="hidden")(inputs)
    return keras.Model(inputs, make_head(x))


class WithoutLayers(keras.Model):
    """Ends in an operation that no layer holds."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, inputs):
        return tf.nn.softmax(self.dense(inputs))


HEADS = {
    "linear": (layers.Dense(3), "logits"),
    "softmax": (layers.Dense(3, "softmax"), "probabilities"),
    "log-softmax": (layers.Dense(3, "log_softmax"), "logits"),
    "sigmoid": (layers.Dense(3, "sigmoid"), "binary_probabilities"),
    "one sigmoid": (layers.Dense(1, "sigmoid"), "binary_probabilities"),
    "softmax layer": (
        lambda x: layers.Softmax()(layers.Dense(3)(x)),
        "probabilities",
    ),
    "activation layer": (
        lambda x: layers.Activation("softmax")(layers.Dense(3)(x)),
        "probabilities",
    ),
    "linear activation": (
        lambda x: layers.Activation("linear")(layers.Dense(3, "softmax")(x)),
        "probabilities",
    ),
    "keras.ops": (
        lambda x: keras.ops.softmax(layers.Dense(3)(x)),
        "probabilities",
    ),
    "reshaped": (
        lambda x: layers.Reshape((3,))(layers.Dense(3, "softmax")(x)),
        "probabilities",
    ),
    "dropout": (
        lambda x: layers.Dropout(0.5)(layers.Dense(3)(x)),
        "logits",
    ),
    "batch norm": (
        lambda x: layers.BatchNormalization()(layers.Dense(3)(x)),
        "logits",
    ),
    "ensemble": (
        lambda x: layers.Average()(
            [layers.Dense(3, "softmax")(x), layers.Dense(3, "softmax")(x)]
        ),
        "probabilities",
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_kind_and_logits_of_every_head(name):
    make_head, kind = HEADS[name]
    model = functional(make_head)
    assert output_kind(model) == kind
    tapped = Tap(model)(X)
    predictions, logits = np.array(tapped.predictions), np.array(tapped.logits)
    assert np.array_equal(predictions, np.array(model(X)))
    exponentials = np.exp(logits.astype("float64"))
    p = exponentials / exponentials.sum(-1, keepdims=True)
    units = predictions.shape[-1]
    if kind == "probabilities":
        assert p == pytest.approx(predictions, rel=1e-4)
    elif kind == "logits":
        assert np.array_equal(logits, predictions)
    elif units == 1:
        assert logits.shape == (5, 2)
        z = predictions[:, 0].astype("float64")
        q = z if kind == "binary_probabilities" else 1 / (1 + np.exp(-z))
        assert p[:, 1] == pytest.approx(q, rel=1e-5)
    else:
        assert logits.shape == (5, 3, 2)
        assert p[..., 1] == pytest.approx(predictions, rel=1e-5)


def test_softmax_logits_are_exact_where_probabilities_underflow():
    model = functional(layers.Dense(3, "softmax"))
    kernel, _bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * 0, np.array([0.0, 500.0, -500.0])])
    assert np.array(model(X))[0, 0] == 0
    assert np.array(Tap(model)(X).logits)[0] == pytest.approx(
        [0.0, 500.0, -500.0]
    )


@pytest.mark.parametrize(
    "head",
    [
        layers.Dense(3, "tanh"),
        layers.Dense(3, "relu"),
        lambda x: layers.Add()(
            [layers.Dense(3, "softmax")(x), layers.Dense(3, "softmax")(x)]
        ),
        lambda x: layers.Softmax(axis=1)(layers.Reshape((2, 2))(x)),
        lambda x: layers.GRU(3)(layers.Reshape((2, 2))(x)),
    ],
    ids=["tanh", "relu", "sum of softmaxes", "softmax axis", "recurrent"],
)
def test_undecidable_heads_are_errors_that_say_how(head):
    model = functional(head)
    with pytest.raises(ValueError, match=r"teacher_output='probabilities'"):
        Tap(model, role="teacher")
    assert Tap(model, logits=False)(X).logits is None
    told = Tap(model, output_kind="logits")(X)
    assert np.array_equal(np.array(told.logits), np.array(told.predictions))


def test_operations_outside_layers_must_be_told():
    model = WithoutLayers()
    model(X)
    with pytest.raises(ValueError, match="outside of any layer"):
        Tap(model)
    logits = np.array(Tap(model, output_kind="probabilities")(X).logits)
    assert np.exp(logits) == pytest.approx(np.array(model(X)), rel=1e-5)
    with pytest.raises(ValueError, match=r"one of 'logits', 'probabilities'"):
        Tap(model, output_kind="prob")


def nested():
    inner = keras.Sequential(
        [keras.Input((6,)), layers.Dense(4, name="a"), layers.Dense(3)],
        name="backbone",
    )
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(2, "softmax")(inner(inputs)))


def test_layers_by_name_and_path():
    model = nested()
    exact = model.get_layer("backbone").get_layer("a")(X)
    for path in ("backbone/a", "a"):
        feature = Tap(model, [path])(X).features[path]
        assert np.array_equal(np.array(feature), np.array(exact))
    with pytest.raises(ValueError, match=r"Did you mean 'backbone/a'\?"):
        Tap(model, ["backbone/b"])


def test_a_name_that_fits_two_layers_asks_for_the_path():
    inputs = keras.Input((6,))
    x = inputs
    for name in ("one", "two"):
        x = keras.Sequential([layers.Dense(6, name="same")], name=name)(x)
    model = keras.Model(inputs, x)
    with pytest.raises(ValueError, match="'one/same', 'two/same'"):
        Tap(model, ["same"], output_kind="logits")


def test_a_layer_that_runs_twice_is_refused():
    shared = layers.Dense(6, name="shared")
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(2)(shared(shared(inputs))))
    with pytest.raises(ValueError, match="ran 2 times"):
        Tap(model, ["shared"])


def test_the_model_is_left_as_it_was():
    model = functional(layers.Dense(3, "softmax"))
    before = [dict(vars(layer)) for layer in model.layers]
    tap = Tap(model, ["hidden"])
    tap(X)
    with pytest.raises(Exception, match="shape|dim|expected|ncompatible"):
        tap(X[:, :2])
    for layer, attributes in zip(model.layers, before, strict=True):
        assert set(vars(layer)) == set(attributes)
        assert "call" not in vars(layer)
        assert layer.get_config()


def test_taps_in_threads_see_their_own_pass():
    model = functional(layers.Dense(3, "softmax"))
    tap = Tap(model, ["hidden"])
    results = {}

    def run(index):
        for _ in range(20):
            results[index] = np.array(tap(X * index).features["hidden"])

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hidden = model.get_layer("hidden")
    for index, feature in results.items():
        assert feature == pytest.approx(np.array(hidden(X * index)), rel=1e-6)
    assert "call" not in vars(hidden)


def test_one_binary_probability_becomes_two_classes():
    p = np.array([[0.0], [0.25], [1.0]])
    logits = np.array(class_logits(p, "binary_probabilities"))
    assert logits.dtype == np.float64
    assert np.isfinite(logits).all()
    assert np.exp(logits[1]) == pytest.approx([0.75, 0.25])


def test_input_spec_of_dicts_and_unbuilt_models():
    inputs = {"a": keras.Input((2,)), "b": keras.Input((3,), dtype="int32")}
    merged = layers.Concatenate()([inputs["a"], inputs["b"]])
    model = keras.Model(inputs, layers.Dense(2)(merged))
    spec = input_spec(model, subject="Distiller", role="teacher")
    assert {k: (v.shape, v.dtype) for k, v in spec.items()} == {
        "a": ((None, 2), "float32"),
        "b": ((None, 3), "int32"),
    }
    with pytest.raises(ValueError, match="`teacher` to be a built model"):
        input_spec(
            keras.Sequential([layers.Dense(1)]),
            subject="Distiller",
            role="teacher",
        )
