"""What `compress` plans to do in the time it has."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import keras

from keras_kd.core.progress import duration
from keras_kd.core.words import counted
from keras_kd.data import Splits

# Without a time limit.
NUM_TRIALS, TRIAL_EPOCHS, FULL_EPOCHS = 20, 10, 30
_FEWEST_TRIALS, _MOST_TRIALS, _MOST_FULL_EPOCHS = 5, 40, 40
_TIMED_BATCHES = 4
_FEWEST_EXAMPLES = 256
# Shares of the time that can be planned. The teacher may take its share of the
# whole; what is left over goes into training with int8 arithmetic.
_TEACHER, _SEARCH, _TRAINING = 0.25, 0.5, 0.25
# What is done once a student is chosen: it is exported, and once more in
# float32 for the report; the teacher sees the test examples about five times.
_EXPORTS, _TESTS, _STARTS = 2, 5, 2


@dataclasses.dataclass(frozen=True)
class Pace:
    """How long the parts of the job take on this machine, in seconds.

    Attributes:
        teacher: The teacher over all training examples.
        epoch: One epoch of a student.
        start: What a training run takes before its first step.
        finish: Everything after the last training: export, comparison,
            measurements, report.
    """

    teacher: float
    epoch: float
    start: float
    finish: float = 0.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much is trained.

    Attributes:
        trials: Students that the search trains.
        trial_epochs: Epochs of a trial.
        full_epochs: Epochs of the best student.
        seconds: The time that all of it is estimated to take.
        finish: The part of it after the last training.
        max_train: Training examples that the teacher has time for; `None`
            for all.
    """

    trials: int
    trial_epochs: int
    full_epochs: int
    seconds: float
    finish: float = 0.0
    max_train: int | None = None

    def sentence(self, limit: float | None = None) -> str:
        """Return the plan in words.

        Args:
            limit: The seconds there are, if they are limited.
        """
        late = few = ""
        if limit is not None and self.seconds > limit:
            late = (
                f" The time of {duration(limit)} is shorter: trainings end "
                "early, and the result is the best by then."
            )
        if self.max_train is not None:
            few = (
                f" The teacher has time for {self.max_train:,} of the "
                "training examples."
            )
        return (
            f"Plan: {counted(self.trials, 'student')} for "
            f"{counted(self.trial_epochs, 'epoch')} each, then the best one "
            f"for {counted(self.full_epochs, 'epoch')}; about "
            f"{duration(self.seconds)} on this machine, of which "
            f"{duration(self.finish)} for export and report.{few}{late}"
        )


def measure_pace(
    teacher: keras.Model,
    student: keras.Model,
    splits: Splits,
    loss: Any,
    export: Callable[[], object],
) -> Pace:
    """Time a few batches of the teacher and of a student, and an export.

    Args:
        teacher: The teacher.
        student: A student; it is trained for a few steps.
        splits: The data.
        loss: The student's loss.
        export: Exports the student. What cannot be exported fails here,
            before hours of training.
    """
    train = splits.train
    few = train.take(_TIMED_BATCHES).cache()
    share = len(train) / min(_TIMED_BATCHES, len(train))

    def timed(run: Callable[[], object]) -> float:
        started = time.perf_counter()
        run()
        return time.perf_counter() - started

    def fit() -> None:
        student.fit(few, verbose=0, shuffle=False)

    def predict() -> None:
        for x, *_ in few:
            teacher(x, training=False)

    timed(predict)  # the first call traces
    student.compile("adam", loss=loss)
    first = timed(fit)
    again = timed(fit)
    of_teacher = timed(predict) * share
    start = max(first - again, 0.0)
    tests = of_teacher * splits.num_test / splits.num_train
    return Pace(
        teacher=of_teacher,
        epoch=again * share,
        start=start,
        finish=_EXPORTS * timed(export) + _TESTS * tests + _STARTS * start,
    )


def make_plan(
    pace: Pace,
    *,
    num_train: int | None = None,
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
        num_train: Number of training examples. If the teacher would take more
            than a quarter of the time for them, fewer are planned.
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
    max_train = None
    if seconds is None:
        full = full_epochs or FULL_EPOCHS
        short = trial_epochs or max(1, round(full / 3))
        number = trials or NUM_TRIALS
    else:
        share = _TEACHER * max(seconds, 0.0) / max(pace.teacher, 1e-9)
        few = max(int(share * (num_train or 0)), _FEWEST_EXAMPLES)
        if num_train is not None and few < num_train:
            max_train, share = few, few / num_train
            pace = dataclasses.replace(
                pace, teacher=share * pace.teacher, epoch=share * pace.epoch
            )
        left = max(seconds - pace.teacher - pace.finish, 0.0)
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
    trained = number * (pace.start + short * pace.epoch)
    trained += pace.start + full * pace.epoch
    needed = pace.teacher + trained / (_SEARCH + _TRAINING) + pace.finish
    return Plan(
        number,
        short,
        full,
        seconds=round(needed, 1),
        finish=round(pace.finish, 1),
        max_train=max_train,
    )
