"""What `compress` plans for a time."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_kd.jobs.clock import Clock
from keras_kd.jobs.clock import StopInTime
from keras_kd.jobs.plan import Pace
from keras_kd.jobs.plan import make_plan
from keras_kd.jobs.plan import measure_pace

PACE = Pace(teacher=30.0, epoch=4.0, start=6.0, finish=40.0)


@pytest.mark.parametrize("minutes", [5, 10, 30, 120])
def test_a_plan_keeps_its_time(minutes):
    plan = make_plan(PACE, seconds=60 * minutes)
    trained = plan.trials * (6 + 4 * plan.trial_epochs)
    trained += 6 + 4 * plan.full_epochs
    assert plan.finish == 40
    assert 30 + trained + 40 <= 60 * minutes
    assert plan.seconds == pytest.approx(30 + trained / 0.75 + 40, abs=0.1)
    assert plan.trials >= 5
    assert plan.trial_epochs <= plan.full_epochs / 3 or plan.trial_epochs == 1


def test_more_time_is_never_planned_for_less():
    plans = [make_plan(PACE, seconds=60 * m) for m in (2, 5, 10, 20, 60)]
    assert [p.full_epochs for p in plans] == sorted(
        p.full_epochs for p in plans
    )
    assert plans[-1].trials > plans[0].trials


def test_too_little_time_still_trains_once():
    plan = make_plan(PACE, seconds=1)
    assert (plan.trials, plan.trial_epochs, plan.full_epochs) == (1, 1, 1)


def test_what_was_chosen_is_kept():
    plan = make_plan(PACE, seconds=600, trials=3, full_epochs=9)
    assert (plan.trials, plan.full_epochs) == (3, 9)
    plan = make_plan(PACE, full_epochs=12)
    assert (plan.trials, plan.trial_epochs, plan.full_epochs) == (20, 4, 12)
    assert "20 students for 4 epochs each" in plan.sentence()


def test_a_plan_that_takes_longer_than_there_is_says_so():
    plan = make_plan(PACE, seconds=60)
    assert "shorter" in plan.sentence(60)
    assert "shorter" not in plan.sentence()
    assert "shorter" not in make_plan(PACE, seconds=600).sentence(600)


def test_a_slow_teacher_gets_fewer_examples():
    plan = make_plan(PACE, num_train=12_000, seconds=60)
    assert plan.max_train == 12_000 * 15 // 30, "a quarter of the time"
    assert "for 6,000 of the training examples" in plan.sentence()
    assert make_plan(PACE, num_train=12_000, seconds=600).max_train is None
    assert make_plan(PACE, num_train=9_000, seconds=-1).max_train == 256
    assert make_plan(PACE, num_train=200, seconds=-1).max_train is None


@pytest.mark.untraced
def test_the_pace_is_of_all_batches(make_classifier, images, labels):
    calls, exported = [], []
    teacher = make_classifier()
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)
    count = len(images)
    splits = SimpleNamespace(train=data, num_train=count, num_test=count)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    student = make_classifier()

    def counted(x, **_):
        calls.append(len(x))
        return teacher(x)

    pace = measure_pace(
        counted, student, splits, loss, lambda: exported.append(1)
    )
    assert calls == [4] * 8, "two passes over four batches"
    assert pace.teacher > 0
    assert pace.epoch > 0
    assert pace.start >= 0
    assert exported == [1]
    assert pace.finish >= 5 * pace.teacher, "as many test examples"


def test_a_clock_without_a_limit_is_never_over():
    assert Clock(None).left() is None
    assert not Clock(None).is_over(0.0)
    assert Clock(1e-9).is_over(1.0)


def test_a_reserve_is_kept():
    seconds = iter([0, 10, 21, 21])
    clock = Clock(1, now=lambda: next(seconds))
    clock.reserve = 40
    assert not clock.is_over(1.0)
    assert clock.is_over(1.0)
    assert clock.left() == 39


@pytest.mark.untraced
@pytest.mark.parametrize(("limit", "steps"), [(5, 5), (None, 12)])
def test_a_training_ends_at_the_step_of_its_time(limit, steps):
    """Of 4 steps an epoch, each of which takes a second."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((4, 2), "float32")
    clock = Clock(
        limit and limit / 60, now=lambda: int(model.optimizer.iterations)
    )
    history = model.fit(
        x,
        x[:, :1],
        batch_size=1,
        epochs=3,
        validation_data=(x, x[:, :1]),
        verbose=0,
        callbacks=[StopInTime(clock, 1.0)],
    )
    assert model.optimizer.iterations == steps
    epochs = -(-steps // 4)
    assert len(history.history["val_loss"]) == epochs, "its objective is known"
