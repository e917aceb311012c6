"""The effective number of examples, restated in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from restated import class_balance

from keras_kd.losses import ClassBalance
from keras_kd.losses import SoftTargets
from keras_kd.losses import weighting

COUNTS = [900, 90, 9]
LABELS = np.array([0, 1, 2, -1, 1])


def test_distributions_count_as_their_likeliest_class():
    soft = tf.constant([[0.2, 0.7, 0.1], [-1, -1, -1]], "float32")
    logits = np.array([[0.0, 1, 0], [0, 1, 0]])
    loss = SoftTargets(weighting="teacher_correct", class_balance=COUNTS)
    got = weighting.factors(loss, logits, soft).numpy()
    expected = class_balance(COUNTS, 0.999, np.array([1, -1]))
    assert got == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.999])
def test_class_balance_equals_numpy(beta):
    loss = SoftTargets(class_balance=ClassBalance(COUNTS, beta))
    got = weighting.factors(loss, None, tf.constant(LABELS)).numpy()
    assert got == pytest.approx(class_balance(COUNTS, beta, LABELS), rel=1e-6)
    assert np.mean(loss.class_balance.factors) == pytest.approx(1.0)


def test_a_beta_of_1_is_the_inverse_of_the_number():
    factors = np.array(ClassBalance(COUNTS, 1.0).factors)
    assert factors * COUNTS == pytest.approx(factors[0] * COUNTS[0])


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([3], "one number a class"), ([3, 0], "a class without examples as 1")],
    ids=str,
)
def test_counts_that_are_not_allowed(counts, expected):
    with pytest.raises(ValueError, match=expected):
        SoftTargets(class_balance=counts)


def test_bad_counts():
    with pytest.raises(TypeError, match=r"Such as \[5000, 120, 40\]"):
        SoftTargets(class_balance=0.999)
    with pytest.raises(TypeError, match="an integer of at least 1"):
        ClassBalance([1.5, 2])
    with pytest.raises(ValueError, match="`beta` to be a finite number betw"):
        ClassBalance([5, 2], beta=1.1)
