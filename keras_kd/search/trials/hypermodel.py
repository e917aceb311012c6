"""The hypermodel of a search: a student under a teacher, ready to train."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
import keras_tuner

from keras_kd.core.checks import requirement
from keras_kd.core.output_kinds import kind_of_loss
from keras_kd.distiller import Distiller
from keras_kd.distiller.objective import default_losses
from keras_kd.distiller.objective import layer_names
from keras_kd.search.trials import space
from keras_kd.search.trials.task import StudentOutputs
from keras_kd.search.trials.task import fitting_metrics

_ADVICE = (
    "Name the argument: `lambda width: keras_kd.students.shrink(teacher, "
    "width=width)`, or `lambda hp: ...` for any other hyperparameters."
)


class StudentHyperModel(keras_tuner.HyperModel):
    """Builds the Distiller of a trial from its hyperparameters.

    `StudentTuner` searches over it; use it directly in a search of your own.
    It declares `alpha` (0.1 to 1), the ranges of the losses (for the default
    loss `temperature`, 1 to 16), and `width` (0.0625 to 1 in sixteenths) if
    `build_student` takes it. A hyperparameter that you declared under one of
    these names takes precedence: `hp.Fixed("alpha", 0.9)` takes `alpha` out
    of the search.

    Args:
        teacher: What a `Distiller` takes.
        build_student: A function that returns a built `keras.Model` and
            whose arguments are named `width`, `hp`, or both; or a
            `keras_tuner.HyperModel` that builds one. The `fit` of a
            hypermodel trains the Distiller.
        losses: What a `Distiller` takes, or a function of `hp` that returns
            the losses and declares their hyperparameters. Arguments in a
            loss's `ranges` are searched, starting at the value given.
        optimizer: What `compile` takes; every trial gets its own copy. Or a
            function of `hp` that returns it.
        loss: The task's loss. `None` if it is still to be inferred from the
            data; then `StudentTuner` sets it.
        metrics: What `compile` takes.

    Raises:
        TypeError: If `build_student` cannot be called.
        ValueError: If its arguments are neither `width` nor `hp`.

    Example:
    >>> import functools
    >>> import keras_tuner
    >>> import keras_kd
    >>> teacher = keras_kd.students.mlp((4,), 3, hidden=(16,))
    >>> hypermodel = keras_kd.search.StudentHyperModel(
    ...     teacher, lambda width: keras_kd.students.shrink(
    ...         teacher, width=width))
    >>> hp = keras_tuner.HyperParameters()
    >>> hp.Fixed("width", 0.5)
    0.5
    >>> student = hypermodel.student(hp)
    >>> student.count_params(), sorted(hp.values)
    (67, ['width'])
    """

    def __init__(
        self,
        teacher: Any,
        build_student: Any,
        *,
        losses: Any = None,
        optimizer: Any = "adam",
        loss: Any = None,
        metrics: Any = ("accuracy",),
    ) -> None:
        self.teacher = teacher
        self.losses = losses
        self.optimizer = optimizer
        self.loss = loss
        self.metrics = metrics
        self.head: StudentOutputs | None = None
        self.needs_task = True
        self.teacher_layers: dict[str, None] = {}
        self._inner = (
            build_student
            if isinstance(build_student, keras_tuner.HyperModel)
            else None
        )
        self._make = None if self._inner else _check_function(build_student)
        super().__init__(name="student")

    @property
    def fits_itself(self) -> bool:
        """Whether the user's own `HyperModel.fit` does the training."""
        own = type(self._inner).fit if self._inner is not None else None
        return own not in (None, keras_tuner.HyperModel.fit)

    def declare_hyperparameters(self, hp: Any) -> None:
        """Declare the hyperparameters of the user's own hypermodel."""
        if self._inner is not None:
            self._inner.declare_hyperparameters(hp)

    def build(self, hp: Any) -> Distiller:
        """Return a trial's Distiller, compiled if the task's loss is known.

        Args:
            hp: A `keras_tuner.HyperParameters`.
        """
        space.alpha(hp)
        space.losses(hp, self._wanted_losses())
        return self.distiller(hp, self.student(hp))

    def student(self, hp: Any) -> keras.Model:
        """Return the untrained student of a trial.

        Raises:
            TypeError: If `build_student` returned something else.
        """
        if self._inner is not None:
            student = self._inner.build(hp)
        else:
            student = self._make(hp)  # type: ignore[misc]
        if not isinstance(student, keras.Model):
            raise TypeError(
                requirement(
                    "StudentTuner",
                    "build_student",
                    "a function that returns a keras.Model",
                    student,
                )
            )
        return student

    def distiller(self, hp: Any, student: keras.Model) -> Distiller:
        """Return the Distiller of a trial around its student."""
        losses = space.losses(hp, self._wanted_losses())
        distiller = Distiller(
            self.teacher, student, losses, alpha=space.alpha(hp)
        )
        # The Distiller has replaced patterns by names.
        self.teacher_layers |= dict.fromkeys(layer_names(losses, "teacher"))
        self.head = StudentOutputs.of(distiller)
        self.needs_task = distiller.objective.needs_task
        if self.loss is not None or not self.needs_task:
            distiller.compile(
                self._optimizer(hp),
                loss=self.loss,
                metrics=fitting_metrics(self.metrics, self.head),
            )
            # Build the optimizer now, so that a checkpoint can restore its
            # variables.
            distiller.optimizer.build(distiller.trainable_variables)
        return distiller

    def fit(
        self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any
    ) -> Any:
        """Train the model with the user's own hypermodel, if there is one."""
        if self._inner is not None:
            return self._inner.fit(hp, model, *args, **kwargs)
        return model.fit(*args, **kwargs)

    def _wanted_losses(self) -> Any:
        """Return the losses given, or those that fit the outputs."""
        if self.losses is not None:
            return self.losses
        kinds = getattr(self.teacher, "kind_by_key", {}).values()
        told = None if keras.tree.is_nested(self.loss) else self.loss
        kind = kind_of_loss(told) or next(iter(kinds), None)
        return default_losses({None: kind}, None)

    def _optimizer(self, hp: Any) -> Any:
        given = self.optimizer
        made = isinstance(given, (str, dict, keras.optimizers.Optimizer))
        if not made and callable(given):
            given = given(hp)
        if isinstance(given, keras.optimizers.Optimizer):
            # An optimizer keeps the variables of the model it trained, so
            # each trial needs a copy.
            config = keras.optimizers.serialize(given)
            return keras.optimizers.deserialize(config)
        return keras.optimizers.get(given)


def _check_function(function: Any) -> Callable[[Any], Any]:
    """Return `build_student` as a function of `hp`.

    Raises:
        TypeError: If it cannot be called.
        ValueError: If it takes neither `width` nor `hp`, or requires other
            arguments.
    """
    expected = "a function of `width` or `hp`, or a keras_tuner.HyperModel"
    message = requirement(
        "StudentTuner", "build_student", expected, function, _ADVICE
    )
    if not callable(function) or isinstance(function, keras.Layer):
        raise TypeError(message)
    taken = inspect.signature(function).parameters
    known = [name for name in ("hp", "width") if name in taken]
    unknown = [
        name
        for name, parameter in taken.items()
        if name not in known
        and parameter.default is parameter.empty
        and parameter.kind
        not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if not known or unknown:
        raise ValueError(message)

    def make(hp: Any) -> Any:
        given = {"hp": hp} if "hp" in known else {}
        if "width" in known:
            given["width"] = space.width(hp)
        return function(**given)

    return make
