"""The arithmetic of a step against NumPy."""

import numpy as np
import pytest

from keras_kd.distiller import means
from keras_kd.distiller import objective

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(6, 4))
MASK = RNG.random((6, 4)) < 0.6
ROWS = RNG.uniform(0, 2, 6)


def test_mean_of_everything():
    mean = means.weighted_mean(VALUES)
    assert float(mean.value) == pytest.approx(VALUES.mean())
    assert float(mean.count) == 24


@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 4)], ids=str)
def test_weights_divide_by_the_number_not_their_sum(shape):
    weights = RNG.uniform(0, 2, shape)
    mean = means.weighted_mean(VALUES, MASK, weights)
    full = np.broadcast_to(weights.reshape(6, -1), (6, 4))
    exact = (VALUES * full)[MASK].sum() / MASK.sum()
    assert float(mean.value) == pytest.approx(exact)
    assert float(mean.count) == MASK.sum()


def test_masked_nan_does_not_count():
    values = np.where(MASK, VALUES, np.nan)
    mean = means.weighted_mean(values, MASK)
    assert float(mean.value) == pytest.approx(VALUES[MASK].mean())


def test_a_row_mask_covers_positions():
    mean = means.weighted_mean(VALUES, MASK[:, 0])
    assert float(mean.value) == pytest.approx(VALUES[MASK[:, 0]].mean())
    assert float(mean.count) == 4 * MASK[:, 0].sum()


def test_column_weights_of_a_vector():
    mean = means.weighted_mean(VALUES[:, 0], None, ROWS[:, None])
    assert float(mean.value) == pytest.approx((VALUES[:, 0] * ROWS).mean())


def test_empty_batch_is_zero():
    mean = means.weighted_mean(np.zeros((0,)))
    assert (float(mean.value), float(mean.count)) == (0.0, 0.0)


def test_objective_is_the_weighted_sum():
    task = means.Mean(2.0, 3)
    outputs = [means.Mean(6.0, 3), means.Mean(8.0, 2)]
    terms = [(1.5, [means.Mean(4.0, 3)]), (0.5, outputs)]
    terms = [objective.Term(*term) for term in terms]
    parts = objective.Objective(["logits_mse", "soft_targets"], None, 0.9, 0.1)
    total = parts.total(task, terms, [0.25, 0.25, 1.0, 0.5], 0)
    exact = 0.1 * 2 * 0.25 + 0.9 * (1.5 * 4 * 0.25 + 0.5 * (6 + 8 * 0.5))
    assert float(total) == pytest.approx(exact)
    alone = parts.total(None, terms, [0.0, 0.25, 1.0, 0.5], 0)
    assert float(alone) == pytest.approx(exact - 0.05)
