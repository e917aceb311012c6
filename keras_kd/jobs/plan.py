"""What `compress` plans to do in the time it has."""

import dataclasses
import time
from typing import Any

import keras

from keras_kd.core.progress import duration
from keras_kd.core.words import counted

# Without a time limit.
NUM_TRIALS, TRIAL_EPOCHS, FULL_EPOCHS = 20, 10, 30
_FEWEST_TRIALS, _MOST_TRIALS, _MOST_FULL_EPOCHS = 5, 40, 40
_TIMED_BATCHES = 4
# Shares of the time limit; the rest is for exports and evaluation.
_SEARCH, _TRAINING = 0.5, 0.25


@dataclasses.dataclass(frozen=True)
class Pace:
    """How long the parts of the job take on this machine, in seconds.

    Attributes:
        teacher: The teacher over all training examples.
        epoch: One epoch of a student.
        start: What a training run takes before its first step.
    """

    teacher: float
    epoch: float
    start: float


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much is trained.

    Attributes:
        trials: Students that the search trains.
        trial_epochs: Epochs of a trial.
        full_epochs: Epochs of the best student.
        seconds: The time that all of it is estimated to take.
    """

    trials: int
    trial_epochs: int
    full_epochs: int
    seconds: float

    def sentence(self, limit: float | None = None) -> str:
        """Return the plan in words.

        Args:
            limit: The seconds there are, if they are limited.
        """
        late = ""
        if limit is not None and self.seconds > limit:
            late = (
                f" The time of {duration(limit)} is shorter: trainings end "
                "early, and the result is the best by then."
            )
        return (
            f"Plan: {counted(self.trials, 'student')} for "
            f"{counted(self.trial_epochs, 'epoch')} each, then the best one "
            f"for {counted(self.full_epochs, 'epoch')}; about "
            f"{duration(self.seconds)} on this machine.{late}"
        )


def measure_pace(
    teacher: keras.Model, student: keras.Model, train: Any, loss: Any
) -> Pace:
    """Time a few batches of the teacher and of a student.

    Args:
        teacher: The teacher.
        student: A student; it is trained for a few steps.
        train: Batches of training examples.
        loss: The student's loss.
    """
    few = train.take(_TIMED_BATCHES).cache()
    share = len(train) / min(_TIMED_BATCHES, len(train))

    def timed(run: Any) -> float:
        started = time.perf_counter()
        run(few)
        return time.perf_counter() - started

    def fit(data: Any) -> None:
        student.fit(data, verbose=0, shuffle=False)

    def predict(data: Any) -> None:
        for x, *_ in data:
            teacher(x, training=False)

    timed(predict)  # the first call traces
    student.compile("adam", loss=loss)
    first = timed(fit)
    again = timed(fit)
    return Pace(
        teacher=timed(predict) * share,
        epoch=again * share,
        start=max(first - again, 0.0),
    )


def make_plan(
    pace: Pace,
    *,
    seconds: float | None = None,
    trials: int | None = None,
    trial_epochs: int | None = None,
    full_epochs: int | None = None,
) -> Plan:
    """Fit trials and epochs into a time.

    A student learns in a trial for a third of the epochs of its full
    training, and at least five trials are made before epochs are added.

    Args:
        pace: How long the parts take.
        seconds: The time there is; `None` for as long as it takes.
        trials: Number of students, if it was chosen.
        trial_epochs: Epochs of a trial, if they were chosen.
        full_epochs: Epochs of the best student, if they were chosen.

    Example:
    >>> from keras_kd.jobs.plan import Pace, make_plan
    >>> plan = make_plan(Pace(teacher=20, epoch=2, start=5), seconds=600)
    >>> plan.trials, plan.trial_epochs, plan.full_epochs
    (9, 13, 40)
    """
    if seconds is None:
        full = full_epochs or FULL_EPOCHS
        short = trial_epochs or max(1, round(full / 3))
        number = trials or NUM_TRIALS
    else:
        left = max(seconds - pace.teacher, 0.0)
        within = (_TRAINING * left - pace.start) / max(pace.epoch, 1e-9)
        full = full_epochs or min(max(int(within), 1), _MOST_FULL_EPOCHS)
        number = trials or _FEWEST_TRIALS
        each = _SEARCH * left / number
        within = (each - pace.start) / max(pace.epoch, 1e-9)
        short = trial_epochs or min(max(int(within), 1), max(1, full // 3))
        if trials is None:
            cost = pace.start + short * pace.epoch
            number = int(_SEARCH * left / max(cost, 1e-9))
            number = min(max(number, 1), _MOST_TRIALS)
    needed = (
        pace.teacher
        + number * (pace.start + short * pace.epoch)
        + (pace.start + full * pace.epoch)
    )
    return Plan(number, short, full, round(needed / (_SEARCH + _TRAINING), 1))
