"""Transformed teacher matching, restated in powers of probabilities."""

import numpy as np
import pytest
from loss_references import STUDENT
from loss_references import TEACHER
from loss_references import check_golden
from loss_references import check_reference
from loss_references import number
from loss_references import reference_cases
from loss_rows import Row
from restated import log_softmax

from keras_kd.losses import TransformedTeacherMatching


def matching(teacher, student, labels, exponent=0.1, weighted=True):
    powers = np.exp(log_softmax(teacher)) ** exponent
    total = powers.sum(-1)
    p = powers / total[..., None]
    divergence = (p * (np.log(p) - log_softmax(student))).sum(-1)
    return total * divergence if weighted else divergence


# A softened teacher is not its own student.
CONTRACT = [
    Row(
        TransformedTeacherMatching,
        matching,
        shift_invariant=True,
        has_minimum=False,
    ),
    Row(
        TransformedTeacherMatching,
        lambda t, s, y: matching(t, s, y, 1.0, False),
        {"exponent": 1.0, "weighted": False},
        shift_invariant=True,
    ),
]


@pytest.mark.parametrize(
    ("arguments", "value", "norm"),
    [
        ((0.1, False), 1.56766616, 0.15240091),
        ((0.1,), 10.31783574, 1.00186425),
        ((0.2,), 7.52261516, 0.73269847),
    ],
)
def test_golden_values(arguments, value, norm):
    loss = TransformedTeacherMatching(*arguments)
    check_golden(loss, TEACHER, STUDENT, value, norm)


@pytest.mark.parametrize("case", reference_cases("ttm"))
def test_reference(case):
    exponent = number(case, "exponent")
    check_reference(case, TransformedTeacherMatching(exponent, False))


@pytest.mark.parametrize("case", reference_cases("wttm"))
def test_reference_weighted(case):
    exponent = number(case, "exponent")
    check_reference(case, TransformedTeacherMatching(exponent))


def test_the_softened_teacher_is_the_minimum():
    loss = TransformedTeacherMatching(0.25)
    at_minimum = loss(TEACHER, 0.25 * TEACHER).numpy()
    assert at_minimum == pytest.approx(0, abs=1e-12)


def test_exponent_out_of_range():
    with pytest.raises(ValueError, match="`exponent`.*Received"):
        TransformedTeacherMatching(exponent=0)
