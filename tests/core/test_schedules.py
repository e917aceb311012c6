"""Schedules instead of numbers: where they are read, and a warm-up."""

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd.losses import SoftTargets

schedules = keras.optimizers.schedules
X = np.random.default_rng(5).normal(size=(8, 4)).astype("float32")


def model():
    return keras_kd.students.mlp((4,), 3, width=0.1)


@pytest.mark.eager
def test_a_warm_up_counts_at_its_step():
    ramp = schedules.PolynomialDecay(0.0, 4, 1.0)
    teacher, student = model(), model()
    loss = SoftTargets(2.0, weight=ramp)
    distiller = keras_kd.Distiller(teacher, student, loss, alpha=1.0)
    distiller.compile(keras.optimizers.SGD(0.0))
    logs = distiller.fit(X, batch_size=8, epochs=6, verbose=0).history
    shares = np.divide(logs["loss"], logs["soft_targets"])
    assert shares == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1], abs=1e-6)


SINKING = [
    (schedules.PolynomialDecay(1.0, 50, -0.5), 50),
    (schedules.PiecewiseConstantDecay([7], [1.0, -1.0]), 8),
    (
        schedules.CosineDecay(0.5, 9, -1, warmup_target=1, warmup_steps=5),
        10,
    ),
    (schedules.ExponentialDecay(-1.0, 50, 0.5), 0),
]


@pytest.mark.parametrize(("schedule", "step"), SINKING)
def test_schedules_that_sink_below_0_are_refused(schedule, step):
    told = f"This is the value of the schedule at step {step}"
    for make in (
        lambda: SoftTargets(weight=schedule),
        lambda: SoftTargets(temperature=schedule),
        lambda: keras_kd.losses.DecoupledKD(target_weight=schedule),
        lambda: keras_kd.Distiller(model(), model(), alpha=schedule),
    ):
        with pytest.raises(ValueError, match=told):
            make()


def test_schedules_of_other_kinds_are_read_at_the_start():
    class Own(schedules.LearningRateSchedule):
        def __init__(self, first):
            self.first = first

        def __call__(self, step):
            return self.first - keras.ops.cast(step, "float32")

    assert SoftTargets(weight=Own(0.5)).weight.first == 0.5
    with pytest.raises(ValueError, match="alpha=1.5. This is the value of t"):
        keras_kd.Distiller(model(), model(), alpha=Own(1.5))
