"""Relational KD, restated one pair and one triple at a time."""

import numpy as np
import pytest
import tensorflow as tf
from loss_references import STUDENT_FEATURES
from loss_references import TEACHER_FEATURES
from loss_references import check_golden
from loss_references import check_reference
from loss_references import mean_and_gradient
from loss_references import number
from loss_references import reference_cases
from loss_rows import Row

from keras_kd.losses import RelationalKD

RNG = np.random.default_rng(104)
TEACHER, STUDENT = 2 * RNG.normal(size=(6, 7)), RNG.normal(size=(6, 2, 2))


def huber(x):
    return x * x / 2 if abs(x) < 1 else abs(x) - 0.5


def geometry(features):
    """Distances of pairs, in units of their mean, and cosines of triples."""
    rows = [x.ravel() for x in features]
    size = range(len(rows))
    distances = np.array([[np.linalg.norm(x - y) for y in rows] for x in rows])
    cosines = np.zeros((len(rows),) * 3)
    for i in size:
        for j in size:
            for k in size:
                product = np.dot(rows[j] - rows[i], rows[k] - rows[i])
                if i not in (j, k):
                    product /= distances[i, j] * distances[i, k]
                cosines[i, j, k] = product
    return distances / distances[distances > 0].mean(), cosines


def relational(teacher, student, labels, weights=(25, 50)):
    shares = 0
    for weight, t, s in zip(
        weights, geometry(teacher), geometry(student), strict=True
    ):
        gaps = np.vectorize(huber)(t - s).reshape(len(t), -1)
        shares = shares + weight * gaps.mean(1)
    return shares


CONTRACT = Row(RelationalKD, relational, teacher=TEACHER, student=STUDENT)


@pytest.mark.parametrize(
    ("weights", "value", "norm"),
    [
        ((1, 0), 0.00114710, 0.00221746),
        ((0, 1), 0.00135367, 0.00261486),
        ((25, 50), 0.09636105, 0.18570280),
    ],
)
def test_golden_values(weights, value, norm):
    loss = RelationalKD(*weights)
    check_golden(loss, TEACHER_FEATURES, STUDENT_FEATURES, value, norm)


@pytest.mark.parametrize("case", reference_cases("rkd"))
def test_reference(case):
    weights = (number(case, f"{k}_weight") for k in ("distance", "angle"))
    check_reference(case, RelationalKD(*weights), "features", slice(2, None))


@pytest.mark.parametrize("rows", [1, 2, 6])
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_extreme_features_are_finite(rows, scale):
    student = (scale * STUDENT[:rows]).astype("float32")
    student[:2] = student[:1]  # equal examples, without a slope
    loss = RelationalKD()
    value, slope = mean_and_gradient(
        lambda s: loss(scale * TEACHER[:rows].astype("float32"), s), student
    )
    assert np.isfinite(value)
    assert np.isfinite(slope).all()
    assert abs(slope).max() < 1e3
    if rows == 1:
        assert value == 0


def test_no_tensor_has_more_than_examples_cubed_numbers():
    @tf.function
    def function(teacher, student):
        with tf.GradientTape() as tape:
            tape.watch(student)
            value = tf.reduce_sum(loss(teacher, student))
        return tape.gradient(value, student)

    loss = RelationalKD()
    features = tf.TensorSpec((11, 7))
    graph = function.get_concrete_function(features, features).graph
    sizes = [
        out.shape.num_elements() or 0
        for operation in graph.get_operations()
        for out in operation.outputs
        if out.shape.rank is not None
    ]
    assert max(sizes) == 11**3


def test_a_weight_below_0():
    with pytest.raises(ValueError, match="`angle_weight`.*Received"):
        RelationalKD(angle_weight=-1)
