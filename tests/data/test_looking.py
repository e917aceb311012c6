"""A teacher whose classes are in another order than the data's."""

import keras
import numpy as np
import pytest

from keras_kd.data import Taker
from keras_kd.data import load

Y = np.arange(120) % 4
X = np.stack([Y, np.arange(120)], 1).astype("float32")


def knows(order, noise=0.0):
    """Return a teacher that has output `order[c]` for class c."""
    rng = np.random.default_rng(0)

    def logits(x):
        guesses = np.array(order)[x[:, 0].astype(int)]
        wrong = rng.random(len(x)) < noise
        guesses[wrong] = rng.integers(0, 4, wrong.sum())
        return np.eye(4)[guesses]

    return Taker("teacher", logits, shape=(2,), num_classes=4)


def test_another_order_is_found():
    message = r"right on 0\.0%.*0, 1, 2, 3.* 100\.0% in the order 2, 0, 3, 1"
    with pytest.warns(UserWarning, match=message):
        load((X, Y), teacher=knows([1, 3, 0, 2]))


def test_two_classes_that_changed_places():
    with pytest.warns(UserWarning, match="in the order 1, 0, 2, 3"):
        load((X, Y), teacher=knows([1, 0, 2, 3], noise=0.1), test_share=0.3)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_a_teacher_that_knows_is_not_warned_of(noise):
    load((X, Y), teacher=knows([0, 1, 2, 3], noise=noise), test_share=0.3)


def test_chance_is_said():
    with pytest.warns(UserWarning, match=r"better than chance.*of 4 classes"):
        load((X, Y), teacher=knows([0, 1, 2, 3], noise=1.0), test_share=0.3)


@pytest.mark.parametrize(
    ("shape", "units", "match"),
    [
        ((3,), 4, r"rows of shape \(2,\), and `judge` takes \(3,\)"),
        ((2,), 3, r"the 4 classes 0, 1, 2, 3, and `judge` has 3 outputs"),
    ],
    ids=["shape", "classes"],
)
def test_a_model_of_other_data_is_refused(shape, units, match):
    layers = [keras.Input(shape), keras.layers.Dense(units)]
    with pytest.raises(ValueError, match=match):
        load((X, Y), teacher=keras.Sequential(layers, name="judge"))


def test_labels_that_are_no_classes_are_refused():
    with pytest.raises(ValueError, match="labels that are no classes"):
        load((X, Y / 8), teacher=knows([0, 1, 2, 3]))


def test_binary_teachers():
    inputs = keras.Input((2,))
    outputs = keras.layers.Dense(1, "sigmoid")(inputs)
    teacher = keras.Model(inputs, outputs, name="binary")
    teacher.set_weights([np.array([[-20.0], [0.0]]), np.array([10.0])])
    with pytest.warns(UserWarning, match=r"`binary`.*in the order 1, 0"):
        load((X[Y < 2], Y[Y < 2]), teacher=teacher)


def test_numbers_are_no_classes():
    teacher = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    teacher.compile(loss="mse")
    splits = load((X, Y / 8), teacher=teacher)
    assert splits.num_classes == 0
