"""Which students share a measurement, and which do not."""

import keras
import pytest

import keras_kd
from keras_kd.search.cost.architecture import architecture_key

layers = keras.layers


def make(  # noqa: PLR0913 (each is one difference)
    units=5,
    activation="relu",
    size=4,
    name="model",
    seed=1,
    strength=0.0,
    swap=False,
    rate=0.1,
):
    inputs = keras.Input((size,))
    hidden = layers.Dense(
        units,
        activation,
        kernel_initializer=keras.initializers.GlorotUniform(seed),
        kernel_regularizer=keras.regularizers.L2(strength),
    )(inputs)
    hidden = layers.Dropout(rate, seed=seed)(hidden)
    other = layers.Dense(units)(inputs)
    pair = [other, hidden] if swap else [hidden, other]
    outputs = layers.Dense(3)(layers.Subtract()(pair))
    return keras.Model(inputs, outputs, name=name)


@pytest.mark.parametrize(
    "same",
    [{}, {"name": "other"}, {"seed": 2}, {"strength": 0.1}],
    ids=["again", "name", "seed", "regularizer"],
)
def test_what_does_not_count(same):
    model = make(**same)
    model.trainable = False
    assert architecture_key(model) == architecture_key(make())


@pytest.mark.parametrize(
    "other",
    [{"units": 6}, {"activation": "tanh"}, {"size": 5}, {"swap": True}],
    ids=["units", "activation", "input", "connections"],
)
def test_what_counts(other):
    assert architecture_key(make(**other)) != architecture_key(make())


def test_outputs_count():
    inputs = keras.Input((4,))
    one, two = layers.Dense(3)(inputs), layers.Dense(3)(inputs)
    keys = {
        architecture_key(keras.Model(inputs, outputs))
        for outputs in (one, [one, two], {"a": one, "b": two})
    }
    assert len(keys) == 3


def test_a_layer_that_is_shared_is_not_two():
    def pair(shared):
        inputs = keras.Input((4,))
        first = layers.Dense(4)
        second = first if shared else layers.Dense(4)
        return keras.Model(inputs, second(first(inputs)))

    assert architecture_key(pair(True)) != architecture_key(pair(False))
    assert architecture_key(pair(True)) == architecture_key(pair(True))


def test_operations_without_layers_count():
    def model(axis):
        inputs = keras.Input((4, 4))
        return keras.Model(inputs, keras.ops.sum(inputs * 2.0, axis=axis))

    assert architecture_key(model(1)) == architecture_key(model(1))
    assert architecture_key(model(1)) != architecture_key(model(2))


def test_sequential_and_nested_models():
    def model(units, size=4):
        inner = keras.Sequential([keras.Input((size,)), layers.Dense(units)])
        return keras.Sequential([keras.Input((size,)), inner, layers.Dense(2)])

    assert architecture_key(model(3)) == architecture_key(model(3))
    assert architecture_key(model(3)) != architecture_key(model(4))
    assert architecture_key(model(3)) != architecture_key(model(3, 5))


def test_a_subclassed_model_is_told_by_its_layers():
    class Student(keras.Model):
        def __init__(self, units, activation="relu"):
            super().__init__()
            self.hidden = layers.Dense(units, activation)
            self.head = layers.Dense(3)

        def call(self, x):
            return self.head(self.hidden(x))

        def get_config(self):
            raise NotImplementedError

    def key(*arguments):
        model = Student(*arguments)
        model(keras.ops.zeros((1, 4)))
        return architecture_key(model)

    assert key(5) == key(5)
    assert len({key(5), key(6), key(5, "tanh")}) == 3


def test_every_width_of_a_family_is_one_architecture():
    keys = {
        architecture_key(keras_kd.students.convnet((8, 8, 1), 3, width=width))
        for width in (0.125, 0.25, 0.5, 0.125, 0.25, 0.5)
    }
    assert len(keys) == 3
