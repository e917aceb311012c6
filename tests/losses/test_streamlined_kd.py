"""Streamlined KD, restated with NumPy's covariance and inverse."""

import numpy as np
import pytest
import tensorflow as tf
from loss_references import STUDENT
from loss_references import TEACHER
from loss_references import check_reference
from loss_references import mean_and_gradient
from loss_references import number
from loss_references import reference_cases
from loss_rows import Row
from restated import soft_targets

from keras_kd.losses import StreamlinedKD


def cosines(logits):
    rows = [x / np.linalg.norm(x) for x in logits.reshape(len(logits), -1)]
    return np.array([[x @ y for y in rows] for x in rows])


def directions(teacher, student, tikhonov=0.1):
    gaps = cosines(student) - cosines(teacher)
    covariance = np.cov(gaps.T) + tikhonov * np.eye(len(gaps))
    inverse = np.linalg.inv(covariance)
    return np.array([np.sqrt(row @ inverse @ row) for row in gaps])


CONTRACT = Row(
    StreamlinedKD,
    lambda t, s, y: soft_targets(t, s, 4.0) + directions(t, s),
)


@pytest.mark.parametrize("case", reference_cases("skd"))
def test_reference(case):
    tikhonov = number(case, "tikhonov")
    loss = StreamlinedKD(tikhonov=tikhonov, instance_weight=0.0)
    check_reference(case, loss, alive=[])


@pytest.mark.parametrize("case", reference_cases("skd"))
def test_reference_instance(case):
    temperature = number(case, "temperature")
    loss = StreamlinedKD(temperature, direction_weight=0.0)
    if case is None:
        pytest.skip("needs KERAS_KD_REFERENCE, the folder of the arrays")
    got = loss(case["teacher_logits"], case["student_logits"]).numpy().mean()
    exact = temperature**2 * case["value_instance"]
    assert got == pytest.approx(exact, rel=1e-6, abs=1e-12)


def test_positions_share_the_direction_of_their_example():
    teacher, student = (z.reshape(4, 2, 10) for z in (TEACHER, STUDENT))
    got = StreamlinedKD().per_position(teacher, student).numpy()
    exact = soft_targets(teacher, student, 4.0)
    exact = exact + directions(teacher, student)[:, None]
    assert got == pytest.approx(exact, rel=1e-10)


def test_a_masked_class_equals_its_absence():
    teacher, student = TEACHER.copy(), STUDENT.copy()
    teacher[:, 4] = student[:, 4] = -np.inf
    kept = np.arange(10) != 4
    loss = StreamlinedKD()
    value, slope = mean_and_gradient(lambda s: loss(teacher, s), student)
    t, s = TEACHER[:, kept], STUDENT[:, kept]
    exact = soft_targets(t, s, 4.0) + directions(t, s)
    assert value == pytest.approx(exact.mean(), rel=1e-10)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_extreme_logits_are_finite(rows, scale):
    teacher = scale * np.eye(5, dtype="float32")[:rows]
    student = scale * np.eye(5, k=1, dtype="float32")[:rows]
    loss = StreamlinedKD()
    value, slope = mean_and_gradient(lambda s: loss(teacher, s), student)
    assert np.isfinite(value)
    assert np.isfinite(slope).all()
    assert (value > 1) == (scale > 0)


def test_xla_compiles_it():
    loss = StreamlinedKD()
    specs = [tf.TensorSpec((8, 10), "float64")] * 2
    graph = tf.function(loss, specs, jit_compile=True)
    got = graph(TEACHER, STUDENT).numpy()
    exact = loss(TEACHER, STUDENT).numpy()
    assert got == pytest.approx(exact, rel=1e-10)


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match="`tikhonov`.*Received"):
        StreamlinedKD(tikhonov=0)
