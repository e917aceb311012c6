"""Decoupled KD, restated in probabilities."""

import numpy as np
import pytest
from loss_references import LABELS
from loss_references import STUDENT
from loss_references import TEACHER
from loss_references import check_golden
from loss_references import check_reference
from loss_references import number
from loss_references import reference_cases
from loss_rows import Row
from restated import log_softmax
from restated import soft_targets

from keras_kd.losses import DecoupledKD


def decoupled(teacher, student, labels, temperature=4.0, weights=(1, 8)):
    """The two divergences, one row at a time, from plain probabilities."""
    values = []
    flat = (x.reshape(-1, x.shape[-1]) for x in (teacher, student))
    for t, s, y in zip(*flat, np.ravel(labels), strict=True):
        p, q = (np.exp(log_softmax(z / temperature)) for z in (t, s))
        b, c = ([x[y], x.sum() - x[y]] for x in (p, q))
        others = np.arange(len(t)) != y
        values.append(
            weights[0] * temperature**2 * (b * np.log(np.divide(b, c))).sum()
            + weights[1] * soft_targets(t[others], s[others], temperature)
        )
    return np.reshape(values, np.shape(labels))


CONTRACT = Row(DecoupledKD, decoupled, shift_invariant=True)


@pytest.mark.parametrize(
    ("weights", "value", "norm"),
    [
        ((1, 8), 38.47783421, 2.86846183),
        ((1, 0), 0.49325623, 0.11158353),
        ((0, 1), 4.74807225, 0.35866773),
    ],
)
def test_golden_values(weights, value, norm):
    check_golden(
        DecoupledKD(4.0, *weights), TEACHER, STUDENT, value, norm, LABELS
    )


@pytest.mark.parametrize("case", reference_cases("dkd"))
def test_reference(case):
    loss = DecoupledKD(
        number(case, "temperature"),
        number(case, "alpha"),
        number(case, "beta"),
        bool(number(case, "logit_standardization")),
    )
    check_reference(case, loss)


def test_without_a_label_the_teacher_names_the_target():
    likeliest = TEACHER.argmax(-1)
    exact = decoupled(TEACHER, STUDENT, likeliest)
    got = DecoupledKD()(TEACHER, STUDENT).numpy()
    assert got == pytest.approx(exact, rel=1e-12)
    labels = np.where(np.arange(8) < 3, LABELS, -1)
    exact = decoupled(TEACHER, STUDENT, np.where(labels < 0, likeliest, labels))
    got = DecoupledKD()(TEACHER, STUDENT, labels).numpy()
    assert got == pytest.approx(exact, rel=1e-12)


def test_a_distribution_names_its_likeliest_class():
    soft = np.full((8, 10), 0.01)
    soft[np.arange(8), LABELS] = 0.91
    got = DecoupledKD()(TEACHER, STUDENT, soft.astype("float32")).numpy()
    exact = decoupled(TEACHER, STUDENT, LABELS)
    assert got == pytest.approx(exact, rel=1e-12)


def test_a_masked_class_equals_its_absence():
    teacher, student = TEACHER.copy(), STUDENT.copy()
    labels = np.zeros(8, "int32")
    teacher[:, 4] = student[:, 4] = -np.inf
    kept = np.arange(10) != 4
    got = DecoupledKD()(teacher, student, labels).numpy()
    exact = decoupled(TEACHER[:, kept], STUDENT[:, kept], labels)
    assert got == pytest.approx(exact, rel=1e-12)


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match="`temperature`.*Received"):
        DecoupledKD(temperature=0)
    with pytest.raises(ValueError, match="`non_target_weight`.*Received"):
        DecoupledKD(non_target_weight=-1)
