"""DIST, restated with NumPy's own correlation."""

import numpy as np
import pytest
from loss_references import STUDENT
from loss_references import TEACHER
from loss_references import check_golden
from loss_references import check_reference
from loss_references import mean_and_gradient
from loss_references import number
from loss_references import reference_cases
from loss_rows import Row
from restated import log_softmax

from keras_kd.losses import DIST


def correlations(a, b):
    """Of the rows: `corrcoef`, and the small number beside the lengths."""
    exact = np.array(
        [np.corrcoef(*pair)[0, 1] for pair in zip(a, b, strict=True)]
    )
    lengths = a.shape[1] * a.std(1) * b.std(1)
    return exact * lengths / (lengths + 1e-8)


def dist(teacher, student, labels, temperature=1.0):
    p, q = (np.exp(log_softmax(z / temperature)) for z in (teacher, student))
    intra = 1 - correlations(p.T, q.T).mean()
    return temperature**2 * (1 - correlations(p, q) + intra)


CONTRACT = [
    # Equal models differ from 0 by the small number.
    Row(DIST, dist, shift_invariant=True, has_minimum=False),
    Row(
        DIST,
        lambda t, s, y: dist(t, s, y, 4.0),
        {"temperature": 4.0, "gather": False},
        shift_invariant=True,
        has_minimum=False,
    ),
]


@pytest.mark.parametrize(
    ("arguments", "value", "norm"),
    [
        ((1.0,), 1.81200557, 0.15791670),
        ((4.0,), 28.95747571, 1.30445015),
        ((1.0, 1.0, 0.0), 0.91540516, 0.14610000),
        ((1.0, 0.0, 1.0), 0.89660041, 0.04879233),
    ],
)
def test_golden_values(arguments, value, norm):
    check_golden(DIST(*arguments), TEACHER, STUDENT, value, norm)


@pytest.mark.parametrize("case", reference_cases("dist"))
def test_reference(case):
    names = ("tau", "beta", "gamma")
    check_reference(case, DIST(*(number(case, name) for name in names)))


def test_each_position_counts_as_an_example():
    teacher, student = (z.reshape(4, 2, 10) for z in (TEACHER, STUDENT))
    got = DIST().per_position(teacher, student).numpy()
    exact = dist(TEACHER, STUDENT, None)
    assert got.reshape(-1) == pytest.approx(exact, rel=1e-10)


def test_equal_models_have_the_value_0():
    assert DIST()(TEACHER, TEACHER).numpy() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_extreme_logits_are_finite(rows, scale):
    teacher = scale * np.eye(5, dtype="float32")[:rows]
    student = scale * np.eye(5, k=1, dtype="float32")[:rows]
    value, slope = mean_and_gradient(lambda s: DIST()(teacher, s), student)
    assert 1 <= value <= 4
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_probabilities_that_are_all_equal_have_no_slope(dtype):
    same = np.tile(STUDENT[:1], (3, 1)).astype(dtype)
    teacher = TEACHER[:3].astype(dtype)
    cases = [(DIST(inter_weight=0.0), same, 1), (DIST(), 0 * same, 2)]
    for loss, student, expected in cases:
        value, slope = mean_and_gradient(
            lambda s, f=loss: f(teacher, s), student
        )
        assert value == pytest.approx(expected, abs=1e-6)
        assert not slope.any()


def test_a_masked_class_has_no_probability():
    teacher, student = TEACHER.copy(), STUDENT.copy()
    teacher[:, 4] = student[:, 4] = -np.inf
    loss = DIST(intra_weight=0.0)
    value, slope = mean_and_gradient(lambda s: loss(teacher, s), student)
    p, q = (np.exp(log_softmax(z)) for z in (teacher, student))
    assert value == pytest.approx(1 - correlations(p, q).mean(), rel=1e-10)
    assert np.isfinite(slope).all()


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match="`intra_weight`.*Received"):
        DIST(intra_weight=-1)
