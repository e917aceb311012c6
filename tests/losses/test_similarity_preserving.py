"""Similarity preserving, restated one pair at a time."""

import numpy as np
import pytest
from loss_references import STUDENT_FEATURES
from loss_references import STUDENT_MAPS
from loss_references import TEACHER_FEATURES
from loss_references import TEACHER_MAPS
from loss_references import check_golden
from loss_references import check_reference
from loss_references import mean_and_gradient
from loss_references import reference_cases
from loss_rows import Row

from keras_kd.losses import SimilarityPreserving

RNG = np.random.default_rng(103)
TEACHER, STUDENT = RNG.normal(size=(6, 7)), RNG.normal(size=(6, 2, 2))


def similarities(features):
    rows = []
    for one in features:
        row = np.array([np.vdot(one, other) for other in features])
        rows.append(row / np.linalg.norm(row))
    return np.array(rows)


def preserved(teacher, student, labels):
    gap = similarities(student) - similarities(teacher)
    return (gap**2).sum(1) / len(gap)


CONTRACT = Row(
    SimilarityPreserving, preserved, teacher=TEACHER, student=STUDENT
)


@pytest.mark.parametrize(
    ("teacher", "student", "value", "norm"),
    [
        (TEACHER_FEATURES, STUDENT_FEATURES, 0.00928021, 0.01722487),
        (TEACHER_MAPS, STUDENT_MAPS, 0.01088042, 0.00457812),
    ],
    ids=["vectors", "maps"],
)
def test_golden_values(teacher, student, value, norm):
    check_golden(SimilarityPreserving(), teacher, student, value, norm)


@pytest.mark.parametrize("case", reference_cases("sp"))
def test_reference(case):
    check_reference(case, SimilarityPreserving(), "features", [0, 2, 3])


def test_the_terms_of_several_layers_add_up():
    loss = SimilarityPreserving()
    both = loss([TEACHER, STUDENT], [STUDENT, TEACHER]).numpy()
    exact = preserved(TEACHER, STUDENT, None) * 2
    assert both == pytest.approx(exact, rel=1e-10)


def test_an_example_alone_has_the_value_0():
    loss = SimilarityPreserving()
    value, slope = mean_and_gradient(
        lambda s: loss(TEACHER[:1], s), STUDENT[:1]
    )
    assert (value, abs(slope).max()) == (0, 0)


@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_extreme_features_are_finite(scale):
    student = (scale * STUDENT).astype("float32")
    student[0] = 0  # a dead example, without a slope
    loss = SimilarityPreserving()
    value, slope = mean_and_gradient(
        lambda s: loss(scale * TEACHER.astype("float32"), s), student
    )
    assert np.isfinite(value)
    assert np.isfinite(slope).all()
    assert abs(slope).max() < 1e3
