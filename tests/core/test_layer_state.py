"""core.layer_state: a layer's state in a new layer of the same config."""

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_kd.core.layer_state import copy_state

NUMBERS = np.array([[3.0], [5.0], [9.0]], "float32")


def adapted(layer, data):
    layer.adapt(data)
    return layer


CASES = {
    "vocabulary": (
        lambda: adapted(layers.StringLookup(), tf.constant(["b", "a", "b"])),
        tf.constant(["a", "b", "c"]),
        [2, 1, 0],
    ),
    "bins": (
        lambda: adapted(layers.Discretization(num_bins=3), np.arange(90.0)),
        np.array([[5.0], [45.0], [85.0]]),
        [[0], [1], [2]],
    ),
    "statistics": (
        lambda: adapted(layers.Normalization(axis=None), NUMBERS),
        NUMBERS,
        (NUMBERS - NUMBERS.mean()) / NUMBERS.std(),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_new_layer_does_the_same(case):
    build, x, expected = CASES[case]
    source = build()
    target = type(source).from_config(source.get_config())
    if source.weights:
        target.build(x.shape)
    copy_state(source, target)
    np.testing.assert_allclose(target(x), expected, rtol=1e-5)
