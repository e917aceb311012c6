"""The Jensen-Shannon divergence, restated in plain probabilities."""

import numpy as np
import pytest
from loss_references import STUDENT
from loss_references import TEACHER
from loss_references import check_golden
from loss_references import mean_and_gradient
from loss_rows import Row
from restated import log_softmax

from keras_kd.losses import JensenShannon


def divergence(p, q):
    return (p * np.log(p / q)).sum(-1)


def jensen_shannon(teacher, student, beta):
    p, q = (np.exp(log_softmax(z)) for z in (teacher, student))
    if beta in (0, 1):
        return divergence(p, q) if beta == 0 else divergence(q, p)
    m = beta * p + (1 - beta) * q
    return beta * divergence(p, m) + (1 - beta) * divergence(q, m)


CONTRACT = [
    Row(
        JensenShannon,
        lambda t, s, y, beta=beta: jensen_shannon(t, s, beta),
        {"beta": beta},
        shift_invariant=True,
        bounded=beta > 0,
    )
    for beta in (0.5, 0.0, 0.2, 1.0)
]


@pytest.mark.parametrize(
    ("beta", "value", "norm"),
    [
        (0, 2.33076820, 0.21771243),
        (0.5, 0.35754366, 0.03209405),
        (1, 2.79176576, 0.45183034),
    ],
)
def test_golden_values(beta, value, norm):
    check_golden(JensenShannon(beta), TEACHER, STUDENT, value, norm)


@pytest.mark.parametrize("beta", [0.1, 0.5])
def test_surely_wrong_is_the_entropy_of_the_mixture(beta):
    teacher, student = 1e4 * np.eye(5)[:1], 1e4 * np.eye(5)[1:2]
    exact = -beta * np.log(beta) - (1 - beta) * np.log(1 - beta)
    for dtype in ("float32", "float64"):
        got = JensenShannon(beta)(teacher.astype(dtype), student.astype(dtype))
        assert got.numpy() == pytest.approx([exact], rel=1e-6)


@pytest.mark.parametrize("beta", [0, 0.5, 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_masked_class_equals_its_absence(beta, dtype):
    teacher, student = TEACHER.astype(dtype), STUDENT.astype(dtype)
    teacher[:, 4] = student[:, 4] = -np.inf
    loss = JensenShannon(beta)
    value, slope = mean_and_gradient(lambda s: loss(teacher, s), student)
    kept = np.arange(10) != 4
    exact = jensen_shannon(TEACHER[:, kept], STUDENT[:, kept], beta)
    assert value == pytest.approx(exact.mean(), rel=1e-5)
    assert np.isfinite(slope).all()


def test_beta_out_of_range():
    with pytest.raises(ValueError, match="`beta`.*Received"):
        JensenShannon(beta=1.5)
