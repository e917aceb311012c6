"""Negatives are drawn evenly, and from other classes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_kd.losses.negatives import alone
from keras_kd.losses.negatives import class_numbers
from keras_kd.losses.negatives import contrast_index

SEEDS = keras.random.SeedGenerator(1)
ALONE = alone((10,), "int64")


def drawn(ids, count, classes=ALONE):
    """Draw and split off the negatives."""
    ids = tf.constant(ids)
    index = contrast_index(ids, classes, count, SEEDS, "toy").numpy()
    assert (index[:, 0] == ids.numpy()).all()
    return index[:, 1:]


def test_they_are_drawn_evenly_and_none_twice_without_the_example():
    ids = np.tile([4, 0], 500)
    found = np.stack([drawn(ids, 4) for _ in range(5)])
    for own in (4, 0):
        negatives = found[:, ids == own].reshape(-1, 4)
        assert all(len(set(row)) == 4 for row in negatives)
        counts = np.bincount(negatives.ravel(), minlength=10)
        assert counts[own] == 0
        expected = 2500 * 4 / 9
        others = np.delete(counts, own)
        assert np.abs(others - expected).max() < 5 * np.sqrt(expected)


@pytest.mark.parametrize("one_hot", [False, True])
def test_they_come_from_other_classes(one_hot):
    labels = np.array([0, 1, 2, 0, 1, 2, 0, -1, 0, 0], "int32")
    if one_hot:
        labels = np.eye(3, dtype="float32")[labels]
        labels[7] = -1
    classes = class_numbers(labels, ALONE)
    zero, one, unknown = drawn(np.array([0, 1, 7]), 9, classes)
    # Five examples are not of class 0: nine places, each at least once.
    assert sorted(set(zero)) == [1, 2, 4, 5, 7]
    assert np.bincount(zero).max() == 2
    assert sorted(set(one)) == [0, 2, 3, 5, 6, 7, 8, 9]
    assert sorted(unknown) == [0, 1, 2, 3, 4, 5, 6, 8, 9]


@pytest.mark.parametrize(
    "labels", [None, np.zeros((10, 2), "int32"), np.zeros(10, "float32")]
)
def test_without_one_class_an_example_stays_alone(labels):
    assert class_numbers(labels, ALONE) is ALONE


def test_one_class_has_no_negatives():
    with pytest.raises(ValueError, match="two classes or more.*other_classes"):
        drawn(np.array([0]), 3, tf.zeros(10, "int64"))
