"""Adapters made from the shapes, as `Hint` uses them."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_kd.losses import Hint

RNG = np.random.default_rng(1)


@pytest.mark.parametrize(
    ("teacher", "student", "kind", "kernel"),
    [
        ((8,), (3,), layers.Dense, (3, 8)),
        ((4, 4, 8), (4, 4, 3), layers.Conv2D, (1, 1, 3, 8)),
        ((4, 6, 8), (8, 12, 3), layers.Conv2D, (3, 3, 3, 8)),
        ((8, 6, 8), (4, 3, 3), layers.Conv2DTranspose, (4, 4, 8, 3)),
        ((5, 9, 8), (8, 4, 3), layers.Conv2D, (1, 1, 3, 8)),
        ((None, None, 8), (4, 4, 3), layers.Conv2D, (1, 1, 3, 8)),
        ((6, 8), (12, 3), layers.Conv1D, (3, 3, 8)),
        ((6, 8), (3, 3), layers.Conv1DTranspose, (4, 8, 3)),
        ((6, 8), (5, 8), layers.Conv1D, (1, 8, 8)),
        ((2, 2, 2, 8), (4, 4, 4, 3), layers.Conv3D, (3, 3, 3, 3, 8)),
    ],
    ids=str,
)
def test_the_adapter_follows_from_the_shapes(teacher, student, kind, kernel):
    loss = Hint()
    given = [
        keras.KerasTensor((None, *shape), "float32")
        for shape in (teacher, student)
    ]
    value = loss.per_position(*given)
    (adapter,) = loss.adapters
    assert type(adapter) is kind
    assert adapter.kernel.shape == kernel
    assert adapter.activation is keras.activations.linear
    same = None in teacher or teacher[:-1] == student[:-1]
    assert len(value.shape) == (len(teacher) if same else 1)


def test_other_sizes_are_pooled_and_repeated():
    student = RNG.normal(size=(2, 5, 2, 3))
    loss = Hint()
    found = loss.per_position(np.zeros((2, 3, 4, 1)), student).numpy()
    kernel, bias = (np.asarray(w, "float64") for w in loss.weights)
    made = student @ kernel[0, 0] + bias
    rows = [made[:, a:b].mean(1) for a, b in ((0, 2), (1, 4), (3, 5))]
    expected = np.repeat(np.stack(rows, 1), 2, axis=2)[..., 0] ** 2
    np.testing.assert_allclose(found, expected.mean((1, 2)), rtol=1e-5)
