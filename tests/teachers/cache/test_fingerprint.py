"""Fingerprints: what changes the outputs changes them, names do not."""

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd.teachers.cache import fingerprint


def make(units=3, activation=None, seed=1):
    keras.utils.set_random_seed(seed)
    backbone = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(5, activation="relu")]
    )
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(units, activation)(backbone(inputs))
    return keras.Model(inputs, outputs)


def test_the_same_model_built_again_is_the_same():
    one, other = make(), make()
    assert one.layers[-1].name != other.layers[-1].name
    assert fingerprint.of_model(one) == fingerprint.of_model(other)
    other.trainable = False
    assert fingerprint.of_model(one) == fingerprint.of_model(other)


@pytest.mark.parametrize(
    ("other", "part"),
    [
        (lambda: make(seed=2), "weights"),
        (lambda: make(units=4), "weights"),
        (lambda: make(activation="softmax"), "architecture"),
    ],
    ids=["weights", "units", "activation"],
)
def test_another_model_differs(other, part):
    mine, its = fingerprint.of_model(make()), fingerprint.of_model(other())
    assert mine[part] != its[part]


def test_one_bit_of_one_weight_counts():
    model = make()
    before = fingerprint.of_model(model)
    kernel = model.layers[-1].kernel
    values = kernel.numpy()
    values[0, 0] = np.nextafter(values[0, 0], np.float32(9))
    kernel.assign(values)
    after = fingerprint.of_model(model)
    assert before["architecture"] == after["architecture"]
    assert before["weights"] != after["weights"]


def test_a_subclassed_model_without_config():
    class Plain(keras.Model):
        def __init__(self, activation):
            super().__init__()
            self.dense = keras.layers.Dense(3, activation)

        def call(self, x):
            return self.dense(x)

        def get_config(self):
            raise NotImplementedError

    model = Plain("relu")
    model.build((None, 4))
    assert set(fingerprint.of_model(model)) == {
        "kind",
        "architecture",
        "weights",
    }


def test_a_saved_and_loaded_model_is_the_same(tmp_path):
    model = make()
    model.save(tmp_path / "teacher.keras")
    loaded = keras_kd.teachers.load(tmp_path / "teacher.keras")
    assert fingerprint.of_model(loaded) == fingerprint.of_model(model)


def test_functions_are_known_by_their_source():
    def first(x, seed):
        return x

    def again(x, seed):
        return x + 1

    of = fingerprint.of_function
    assert of(None) is None
    assert of("image") == "key image"
    assert of(first) == of(first)
    assert of(first) != of(again)
    made = {}
    exec("def f(x): return x + 1", made)
    one = of(made["f"])
    exec("def f(x): return x - 1", made)
    assert one.split()[0] == "f"
    assert of(made["f"]) != one


def test_layers_are_known_by_their_config():
    of = fingerprint.of_function
    half, third = keras.layers.Rescaling(1 / 2), keras.layers.Rescaling(1 / 3)
    assert of(half) != of(third)
