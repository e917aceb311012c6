"""The searches that `search_cost.py` compares, trial by trial."""

import gc
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import record
import tensorflow as tf
from teacher_cache import convnet

import keras_kd

# KerasTuner takes a seed of 0 for none.
TRIALS, SEED = 12, 1
IMAGES, HELD_OUT, BATCH, SIDE = 3200, 320, 64, 28
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_space() -> keras_tuner.HyperParameters:
    """Declare what every search varies."""
    hp = keras_tuner.HyperParameters()
    hp.Float("alpha", 0.1, 1.0, default=0.9)
    hp.Float("temperature", 1.0, 16.0, sampling="log", default=4.0)
    hp.Float("width", 0.5, 1.0, step=0.125, default=1.0)
    return hp


def make_data() -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Random images, in training and in validation batches."""
    rng = np.random.default_rng(0)
    parts = []
    for count in (IMAGES, HELD_OUT):
        x = rng.random((count, SIDE, SIDE, 1), "float32")
        y = rng.integers(0, 10, count)
        parts.append(tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH))
    return parts[0], parts[1]


def compiled(model: keras.Model) -> keras.Model:
    """Compile as every trial does."""
    model.compile("adam", loss=LOSS, metrics=["accuracy"])
    return model


class Clock:
    """Seconds from the end of each trial to the end of the next."""

    def __init__(self) -> None:
        gc.collect()
        self.laps: list[float] = []
        self._last = time.perf_counter()

    def lap(self) -> None:
        """End a trial."""
        now = time.perf_counter()
        self.laps.append(now - self._last)
        self._last = now


def timed(tuner: type) -> type:
    """Return a tuner class that looks at a clock after each trial."""

    class Timed(tuner):  # type: ignore[misc]
        clock: Clock

        def on_trial_end(self, trial: Any) -> None:
            """Look at the clock once the trial is saved."""
            super().on_trial_end(trial)
            self.clock.lap()

    return Timed


class Searches:
    """The jobs that are compared, on one set of data.

    Args:
        filters: Filters of the widest student.
        teacher_filters: Filters of the teacher.
        epochs: Epochs of a trial.
    """

    def __init__(self, filters: int, teacher_filters: int, epochs: int) -> None:
        self._filters = filters
        self._train, held_out = make_data()
        keras.utils.set_random_seed(0)
        self.teacher = convnet(teacher_filters, "teacher")
        self._fit = {
            "validation_data": held_out,
            "epochs": epochs,
            "verbose": 0,
        }
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name) / "cache"
        self.cache = keras_kd.TeacherCache.build(
            path, self.teacher, self._train, verbose=0
        )
        self.values: list[dict[str, Any]] = []

    def make_student(self, width: float) -> keras.Model:
        """Return a convnet of half the filters to all."""
        return convnet(round(self._filters * width), "student")

    def cost(self, rounds: int) -> float:
        """Return a teacher's forward pass in epochs of the widest student."""
        student = compiled(self.make_student(1.0))
        seconds = record.minima(
            {
                "teacher": lambda: self.teacher.predict(self._train, verbose=0),
                "student": lambda: student.fit(self._train, verbose=0),
            },
            rounds,
        )
        return seconds["teacher"] / seconds["student"]

    def ours(self, teacher: Any, **arguments: Any) -> list[float]:
        """Search with `StudentTuner`."""
        with tempfile.TemporaryDirectory() as folder:
            clock = Clock()
            tuner = timed(keras_kd.search.StudentTuner)(
                teacher,
                self.make_student,
                tuner="random",
                max_trials=TRIALS,
                hyperparameters=make_space(),
                seed=SEED,
                directory=folder,
                **arguments,
            )
            return self._run(tuner, clock)

    def kerastuner(self) -> list[float]:
        """Search with KerasTuner and `keras.distillation`."""

        def build(hp: Any) -> keras.Model:
            student = self.make_student(hp.get("width"))
            alpha, temperature = hp.get("alpha"), hp.get("temperature")
            return compiled(self._with_keras(student, alpha, temperature))

        with tempfile.TemporaryDirectory() as folder:
            clock = Clock()
            tuner = timed(keras_tuner.RandomSearch)(
                build,
                objective="val_accuracy",
                max_trials=TRIALS,
                hyperparameters=make_space(),
                seed=SEED,
                directory=folder,
            )
            return self._run(tuner, clock)

    def students(self) -> list[float]:
        """Train the students of the trials alone, by `fit`."""
        clock = Clock()
        for values in self.values:
            keras.backend.clear_session()
            student = compiled(self.make_student(values["width"]))
            student.fit(self._train, **self._fit)
            clock.lap()
        return clock.laps

    def _run(self, tuner: Any, clock: Clock) -> list[float]:
        tuner.clock = clock
        tuner.search(self._train, **self._fit)
        values = [
            trial.hyperparameters.values
            for trial in tuner.oracle.trials.values()
        ]
        self.values = self.values or values
        if values != self.values or len(clock.laps) != TRIALS:
            raise RuntimeError("Two searches proposed different trials.")
        return clock.laps

    def _with_keras(
        self, student: keras.Model, alpha: float, temperature: float
    ) -> keras.Model:
        """Return the peer, its loss as the paper has it."""
        return keras.distillation.Distiller(
            teacher=self.teacher,
            student=student,
            distillation_losses=keras.distillation.LogitsDistillation(
                temperature=temperature, loss=keras.losses.KLDivergence()
            ),
            student_loss_weight=1.0 - alpha,
        )
