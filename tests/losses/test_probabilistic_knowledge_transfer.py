"""Probabilistic knowledge transfer, restated one pair at a time."""

import numpy as np
import pytest
import tensorflow as tf
from loss_references import STUDENT_FEATURES
from loss_references import TEACHER_FEATURES
from loss_references import check_golden
from loss_references import check_reference
from loss_references import mean_and_gradient
from loss_references import reference_cases
from loss_rows import Row

from keras_kd.losses import ProbabilisticKnowledgeTransfer

RNG = np.random.default_rng(105)
TEACHER, STUDENT = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 2, 2))


def neighbours(features):
    rows = [x.ravel() / (np.linalg.norm(x) + 1e-7) for x in features]
    likeness = np.array([[(1 + x @ y) / 2 for y in rows] for x in rows])
    return (likeness.T / likeness.sum(1)).T


def transfer(teacher, student, labels):
    t, s = neighbours(teacher), neighbours(student)
    return np.mean(t * np.log((t + 1e-7) / (s + 1e-7)), axis=1)


CONTRACT = Row(
    ProbabilisticKnowledgeTransfer, transfer, teacher=TEACHER, student=STUDENT
)


def test_golden_value():
    loss = ProbabilisticKnowledgeTransfer()
    check_golden(
        loss, TEACHER_FEATURES, STUDENT_FEATURES, 0.00066521, 0.00123451
    )


@pytest.mark.parametrize("case", reference_cases("pkt"))
def test_reference(case):
    loss = ProbabilisticKnowledgeTransfer()
    check_reference(case, loss, "features", [0, 2, 3, 4, 5])


@pytest.mark.parametrize("rows", [1, 6])
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_extreme_features_are_finite(rows, scale):
    student = (scale * STUDENT[:rows]).astype("float32")
    student[0] = 0  # a dead example, without a slope
    loss = ProbabilisticKnowledgeTransfer()
    value, slope = mean_and_gradient(
        lambda s: loss(scale * TEACHER[:rows].astype("float32"), s), student
    )
    assert np.isfinite(value)
    assert np.isfinite(slope).all()
    assert abs(slope).max() < 1e3
    if rows == 1:
        assert value == 0


def test_opposite_features_stay_inside_the_logarithm():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 97)).astype("float32")
    loss = tf.function(ProbabilisticKnowledgeTransfer())
    values = [loss(np.stack([row, row]), np.stack([row, -row])) for row in rows]
    assert np.isfinite(values).all()
    assert np.min(values) > 0
