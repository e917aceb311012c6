"""What holds for every distillation loss: one row, every invariant."""

import keras
import numpy as np
import pytest
import restated
import tensorflow as tf

from keras_kd import losses

RNG = np.random.default_rng(0)
TEACHER = 4 * RNG.normal(size=(6, 5))
STUDENT = 3 * RNG.normal(size=(6, 5))
LABELS = RNG.integers(0, 5, 6)


# Every method is restated here in NumPy float64, with its defaults.
RESTATED = {
    "soft_targets": restated.soft_targets,
    "hard_labels": restated.hard_labels,
    "logits_mse": restated.logits_mse,
}
# Methods whose value does not change when a row of logits is shifted.
SHIFT_INVARIANT = {"soft_targets", "hard_labels"}


def gradients(loss, teacher, student):
    teacher, student = tf.constant(teacher), tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch([teacher, student])
        total = tf.reduce_sum(loss(teacher, student))
    return tape.gradient(total, [teacher, student])


@pytest.fixture(params=losses.METHODS)
def name(request):
    return request.param


@pytest.fixture
def loss(name):
    return losses.get(name)


def test_every_row_is_restated_in_numpy():
    assert set(RESTATED) == set(losses.METHODS)


def test_value_equals_numpy_float64(name, loss):
    got = loss(TEACHER, STUDENT, LABELS)
    assert got.dtype == tf.float64
    exact = RESTATED[name](TEACHER, STUDENT)
    assert got.numpy() == pytest.approx(exact, rel=1e-10)


def test_one_float32_value_per_example(name, loss):
    exact = RESTATED[name](TEACHER, STUDENT)
    for dtype, accuracy in (("float32", 1e-5), ("float16", 2e-2)):
        got = loss(TEACHER.astype(dtype), STUDENT.astype(dtype), LABELS)
        assert got.shape == (6,)
        assert got.dtype == tf.float32
        assert got.numpy() == pytest.approx(exact, rel=accuracy)


def test_positions_are_averaged(name, loss):
    teacher = np.stack([TEACHER, STUDENT[::-1]], 1)
    student = np.stack([STUDENT, TEACHER], 1)
    exact = RESTATED[name](teacher, student)
    assert exact.shape == (6, 2)
    assert loss.per_position(teacher, student).numpy() == pytest.approx(exact)
    assert loss(teacher, student).numpy() == pytest.approx(exact.mean(1))


def test_teacher_is_the_minimum(name, loss):
    same = loss(TEACHER, TEACHER).numpy()
    exact = RESTATED[name](TEACHER, TEACHER)
    assert same == pytest.approx(exact, abs=1e-12)
    for index in range(20):
        moved = TEACHER + np.random.default_rng(index).normal(size=(6, 5))
        if name != "hard_labels":  # whose minimum is at infinite logits
            assert (loss(TEACHER, moved).numpy() > same).all()


def test_extreme_logits_are_finite_and_the_wrong_student_has_a_slope(loss):
    teacher = np.full((1, 5), -1e4, "float32")
    student = teacher.copy()
    teacher[0, 1] = student[0, 3] = 1e4
    value = loss(teacher, student).numpy()
    slope = gradients(loss, teacher, student)[1].numpy()
    assert np.isfinite(value).all()
    assert value[0] > 1
    assert np.isfinite(slope).all()
    assert slope[0, 3] > 0.1
    assert slope[0, 1] < -0.1


def test_no_gradient_reaches_the_teacher(loss):
    teacher, student = gradients(loss, TEACHER, STUDENT)
    assert teacher is None
    assert np.abs(student.numpy()).max() > 1e-3


def test_gradient_equals_central_differences(name, loss):
    slope = gradients(loss, TEACHER, STUDENT)[1].numpy()
    step = 1e-5 * np.random.default_rng(1).normal(size=STUDENT.shape)
    rise = (
        RESTATED[name](TEACHER, STUDENT + step)
        - RESTATED[name](TEACHER, STUDENT - step)
    ).sum()
    assert (slope * step).sum() * 2 == pytest.approx(rise, rel=1e-6)


def test_batch_of_n_is_n_batches_of_one(loss):
    if loss.uses_batch:
        pytest.skip("uses the batch, as its class says")
    together = loss(TEACHER, STUDENT, LABELS).numpy()
    alone = [
        loss(TEACHER[i : i + 1], STUDENT[i : i + 1], LABELS[i : i + 1])[0]
        for i in range(6)
    ]
    assert together == pytest.approx(np.array(alone), rel=1e-12)


def test_shift_and_class_order(name, loss):
    value = loss(TEACHER, STUDENT).numpy()
    shifted = loss(TEACHER + 3.0, STUDENT - 2.0).numpy()
    assert np.allclose(value, shifted) == (name in SHIFT_INVARIANT)
    order = np.random.default_rng(2).permutation(5)
    turned = loss(TEACHER[:, order], STUDENT[:, order]).numpy()
    assert turned == pytest.approx(value, rel=1e-12)


def test_config_round_trip(name, loss):
    ramp = keras.optimizers.schedules.PolynomialDecay(2.0, 10, 0.5)
    made = type(loss)(weight=ramp, name="mine", output="a")
    config = keras.saving.serialize_keras_object(made)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(loss)
    assert (again.name, again.output_name) == ("mine", "a")
    assert float(again.weight(10)) == 0.5
    assert again.get_config() == made.get_config()
    assert loss.name == name


def test_class_counts_must_agree(loss):
    with pytest.raises(
        ValueError, match=r"the same classes.*\(6, 5\).*\(6, 4\)"
    ):
        loss(TEACHER, STUDENT[:, :4])


def test_kind_and_weight(loss):
    assert loss.kind in ("logit", "feature", "relation")
    assert loss.weight == 1.0
    with pytest.raises(ValueError, match="`weight` to be .* at least 0"):
        type(loss)(weight=-1.0)
