"""The logit losses against NumPy float64, golden and reference numbers."""

import keras
import numpy as np
import pytest
from loss_references import LABELS
from loss_references import STUDENT
from loss_references import TEACHER
from loss_references import check_golden
from loss_references import check_reference
from loss_references import mean_and_gradient
from loss_references import number
from loss_references import reference_cases
from restated import log_softmax
from restated import soft_targets

from keras_kd.losses import HardLabels
from keras_kd.losses import LogitsMSE
from keras_kd.losses import SoftTargets
from keras_kd.losses import functional


@pytest.mark.parametrize(
    ("loss", "value", "norm"),
    [
        (SoftTargets(temperature=1.0), 2.33076820, 0.21771243),
        (SoftTargets(temperature=4.0), 4.81583157, 0.34239382),
        (
            SoftTargets(temperature=2.0, standardize=True),
            0.76114697,
            0.04260730,
        ),
    ],
    ids=["kd-T1", "kd-T4", "logit-standardization-T2"],
)
def test_golden_values_in_float64(loss, value, norm):
    check_golden(loss, TEACHER, STUDENT, value, norm)


def test_golden_cross_entropy_in_float64():
    one_hot = np.where(np.eye(10)[LABELS] > 0, 0.0, -np.inf)
    for loss in (HardLabels(), SoftTargets(temperature=1.0)):
        check_golden(loss, one_hot, STUDENT, 3.97312284, 0.37293518)


@pytest.mark.parametrize("case", reference_cases("kd"))
def test_reference_kd(case):
    temperature = number(case, "temperature")
    check_reference(case, SoftTargets(temperature=temperature))


@pytest.mark.parametrize("case", reference_cases("kd_logit_standardization"))
def test_reference_logit_standardization(case):
    temperature = number(case, "temperature")
    check_reference(
        case, SoftTargets(temperature=temperature, standardize=True)
    )


@pytest.mark.parametrize("case", reference_cases("logits_mse"))
def test_reference_logits_mse(case):
    temperature = number(case, "temperature")
    check_reference(case, LogitsMSE(temperature=temperature))


@pytest.mark.parametrize("classes", [2, 10, 1000, 100_000])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 4.0, 1000.0])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_float32_is_finite_and_slopes(classes, temperature, scale):
    rng = np.random.default_rng(classes)
    teacher = scale * rng.uniform(-1, 1, (3, classes)).astype("float32")
    student = scale * rng.uniform(-1, 1, (3, classes)).astype("float32")
    teacher[0] = -scale
    teacher[0, 1] = scale  # as sure as a float32 teacher can be
    student[0] = -scale
    student[0, 0] = scale  # and the student as wrong
    teacher[1, 0] = -np.inf
    student[2, 0] = -np.inf
    for standardize in (False, True):
        loss = SoftTargets(temperature=temperature, standardize=standardize)
        values = loss(teacher, student).numpy()
        _, slope = mean_and_gradient(lambda s, f=loss: f(teacher, s), student)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert np.isfinite(slope).all()
        if standardize:
            continue
        q = np.exp(log_softmax(student.astype("float64") / temperature))
        kept = np.where(np.isinf(student), -np.inf, teacher)
        p = np.exp(log_softmax(kept.astype("float64") / temperature))
        exact = temperature * (q - p) / 3
        largest = np.abs(exact).max(-1)
        assert (np.abs(slope - exact).max(-1) <= 2e-3 * largest).all()
        assert largest[0] > 0


@pytest.mark.parametrize("temperature", [30.0, 300.0, 1000.0])
def test_float32_is_accurate_at_high_temperature(temperature):
    rng = np.random.default_rng(0)
    teacher, student = 3 * rng.standard_normal((2, 64, 10)).astype("float32")
    exact = soft_targets(
        teacher.astype("float64"), student.astype("float64"), temperature
    )
    got = SoftTargets(temperature=temperature)(teacher, student).numpy()
    assert got == pytest.approx(exact, rel=2e-3)
    # The plain sum, in float32, is off by far more at these temperatures.
    assert (got >= 0).all()


def test_one_hot_teacher_is_cross_entropy():
    one_hot = np.full((8, 10), -np.inf, "float32")
    one_hot[np.arange(8), LABELS] = 7.0
    got = SoftTargets(temperature=1.0)(one_hot, STUDENT.astype("float32"))
    expected = -log_softmax(STUDENT)[np.arange(8), LABELS]
    assert got.numpy() == pytest.approx(expected, rel=1e-5)


def test_masked_classes_equal_their_absence():
    teacher, student = TEACHER.copy(), STUDENT.copy()
    teacher[:, [2, 7]] = student[:, [2, 7]] = -np.inf
    kept = [c for c in range(10) if c not in (2, 7)]
    for loss in (SoftTargets(2.0), SoftTargets(2.0, standardize=True)):
        full = loss(teacher, student).numpy()
        cut = loss(TEACHER[:, kept], STUDENT[:, kept]).numpy()
        assert full == pytest.approx(cut, rel=1e-12)


def test_student_mask_renormalizes_the_teacher():
    student = STUDENT.copy()
    student[:, 4] = -np.inf
    kept = [c for c in range(10) if c != 4]
    got = SoftTargets(3.0)(TEACHER, student).numpy()
    exact = soft_targets(TEACHER[:, kept], STUDENT[:, kept], 3.0)
    assert got == pytest.approx(exact, rel=1e-12)


def test_standardize_is_unbiased():
    z = functional.standardize(keras.ops.convert_to_tensor(TEACHER)).numpy()
    exact = (TEACHER - TEACHER.mean(-1, keepdims=True)) / (
        TEACHER.std(-1, ddof=1, keepdims=True) + 1e-7
    )
    assert z == pytest.approx(exact, rel=1e-12)


def test_logits_mse_ignores_masked_classes():
    teacher = TEACHER.copy()
    teacher[:, 0] = -np.inf
    gap = (STUDENT - TEACHER)[:, 1:]
    got = LogitsMSE()(teacher, STUDENT).numpy()
    assert got == pytest.approx((gap**2).sum(-1) / 10, rel=1e-12)


def test_a_temperature_has_the_precision_of_the_logits():
    got = SoftTargets(temperature=0.7)(TEACHER, STUDENT).numpy()
    exact = soft_targets(TEACHER, STUDENT, 0.7)
    assert got == pytest.approx(exact, rel=1e-12)
