"""Mutual learning: students that teach each other while they train."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import keras

from keras_kd.core.checks import requirement
from keras_kd.distiller import Distiller
from keras_kd.distiller import tensorflow_step
from keras_kd.regimes.distillers import MakeDistiller
from keras_kd.regimes.distillers import check_callable
from keras_kd.regimes.distillers import check_fit
from keras_kd.regimes.distillers import check_own_weights
from keras_kd.regimes.distillers import make
from keras_kd.teachers import Ensemble


def mutual(
    students: Sequence[keras.Model],
    make_distiller: MakeDistiller,
    fit: dict[str, Any],
) -> keras.callbacks.History:
    """Train students together, each under the others as they are just then.

    Choose it if there is no trained teacher. On each batch the students are
    updated in turn. A step of n students costs n trainings and `n * (n - 1)`
    forward passes more.

    Formula:
        With `alpha=0.5, temperature=1.0`, half of `CE(y, p_k) + 1 / (n - 1)
        * sum_j KL(p_j || p_k)` for student k: the mean distribution of the
        others gives the same gradients as the mean of the divergences.

    Reference:
        Zhang et al. 2018, arXiv:1706.00384, algorithm 1 and its extension to
        more than two students. The others run in inference mode, as every
        teacher of a Distiller does.

    Args:
        students: Two or more built models of the same classes; they are
            trained in place.
        make_distiller: A function of a teacher and a student that returns
            their compiled `Distiller`, with an optimizer and losses of its
            own. The teacher is the other student, or an `Ensemble` of the
            others.
        fit: The arguments of `Distiller.fit`. The logs number the students:
            `"student_0_loss"`, `"val_student_1_accuracy"`. A callback sees
            no optimizer: put a schedule into each student's own.

    Returns:
        The history of all students, as `fit` returns it.

    Raises:
        FloatingPointError: If a term of a loss became NaN or infinite.
        TypeError: If an argument is not of its type, or `make_distiller`
            returns something else.
        ValueError: If there are fewer than two students, two share weights,
            or a Distiller is not compiled or has other models.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> import keras_kd
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> def make_distiller(teacher, student):
    ...     distiller = keras_kd.Distiller(
    ...         teacher, student, alpha=0.5, temperature=1.0)
    ...     distiller.compile("adam", loss=loss)
    ...     return distiller
    >>> students = [keras_kd.students.mlp((4,), 3, width=w) for w in (0.1, 0.2)]
    >>> x, y = np.ones((8, 4), "float32"), np.zeros(8)
    >>> history = keras_kd.regimes.mutual(
    ...     students, make_distiller, fit={"x": x, "y": y, "verbose": 0})
    >>> print(sorted(history.history)[:2])
    ['student_0_loss', 'student_0_soft_targets']
    """
    _check_students(students)
    check_callable("mutual", "make_distiller", make_distiller)
    check_fit("mutual", fit)
    distillers = []
    for student in students:
        others = [model for model in students if model is not student]
        teacher = others[0]
        if len(others) > 1:
            teacher = Ensemble(others, combine="probabilities")
        distillers.append(make("mutual", make_distiller, teacher, student))
    with distillers[0].distribute_strategy.scope():
        together = _Together(distillers)
    return together.fit(**fit)


def _check_students(students: Any) -> None:
    message = requirement(
        "mutual", "students", "a list of two or more keras.Model", students
    )
    if not isinstance(students, (list, tuple)) or not all(
        isinstance(student, keras.Model) for student in students
    ):
        raise TypeError(message)
    if len(students) < 2:
        raise ValueError(message)
    for number, student in enumerate(students):
        check_own_weights("mutual", student, students[:number])


class _Together(keras.Model):
    """Runs the steps of several Distillers on each batch."""

    def __init__(self, distillers: list[Distiller]) -> None:
        super().__init__(name="mutual", autocast=False)
        self.distillers = distillers
        self.built = True
        self.compile(
            optimizer=None,
            run_eagerly=any(each.run_eagerly for each in distillers),
            steps_per_execution=distillers[0].steps_per_execution,
            jit_compile=all(each.jit_compile for each in distillers),
        )

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The metrics of all Distillers."""
        return [m for each in self.distillers for m in each.metrics]

    def fit(self, *args: Any, callbacks: Any = None, **kwargs: Any) -> Any:
        """Train all students; errors are those of a Distiller."""
        stop = keras.callbacks.LambdaCallback(
            on_epoch_end=tensorflow_step.stop_when_nan
        )
        callbacks = [*keras.tree.flatten(callbacks or []), stop]
        with tensorflow_step.readable():
            return super().fit(*args, callbacks=callbacks, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate all students."""
        with ExitStack() as stack:
            for each in self.distillers:
                stack.enter_context(each.evaluating())
            return super().evaluate(*args, **kwargs)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Update one student after the other."""
        return self._logs([each.train_step(data) for each in self.distillers])

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluate the students on one batch."""
        return self._logs([each.test_step(data) for each in self.distillers])

    def _logs(self, logs: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            f"student_{number}_{name}": value
            for number, each in enumerate(logs)
            for name, value in each.items()
        }
