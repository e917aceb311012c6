"""Where a Distiller keeps its teacher."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from keras_kd.core.checks import requirement
from keras_kd.core.taps import Tapped
from keras_kd.distiller import compatibility
from keras_kd.distiller.guards import readable
from keras_kd.distiller.terms import layer_names
from keras_kd.distiller.terms import pairs
from keras_kd.losses import DistillationLoss
from keras_kd.teachers import JoinedTeacher
from keras_kd.teachers.bind import bind
from keras_kd.teachers.inputs import choose_input


class TeacherSlot:
    """Holds the teacher where neither Keras nor TensorFlow looks.

    Not as a tracked attribute, which would be trained and saved; and not in
    `dir()`, which Keras' saver walks, reading every property.
    """

    @property
    def teacher(self: Any) -> Any:
        """The teacher as it was given, or `None`; may be assigned."""
        return None if self._teacher is None else self._teacher.model

    def __setattr__(self: Any, name: str, value: Any) -> None:
        if name == "teacher":
            self._assign_teacher(value)
        else:
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name != "teacher"]

    def _hold(self, name: str, value: Any) -> None:
        """Set an attribute that nobody tracks."""
        object.__setattr__(self, name, value)

    def _assign_teacher(self: Any, teacher: Any) -> None:
        bound: Any = None
        if teacher is not None:
            bound = bind(
                teacher,
                layer_names(self.distillation_losses, "teacher"),
                self._settings["teacher_output"],
                logits=self._needs_logits,
            )
            self._check_inputs(bound)
            compatibility.check_replicas(self.student, self.distribute_strategy)
            # Builds the losses' own weights and checks the shapes.
            for loss in self.distillation_losses:
                for pair in pairs(loss, bound.spec, self._student_tap.spec):
                    _check_values(loss, pair.teacher, pair.student)
        self._hold("_teacher", bound)
        self.train_function = None  # it was traced with the former teacher

    def _check_inputs(self: Any, bound: Any) -> None:
        if bound.reads_joined and self._inputs["teacher_input"] is not None:
            raise ValueError(
                requirement(
                    "Distiller",
                    "teacher_input",
                    "None when the teacher is a TeacherCache",
                    self._inputs["teacher_input"],
                    "Give it to `TeacherCache.build`.",
                )
            )
        if any(how is not None for how in self._inputs.values()):
            return  # What each takes is known from the first batch on.
        for model in bound.models:
            compatibility.check_inputs(model, self.student)

    def _teach(self: Any, x: Any, joined: dict[str, Any] | None) -> Tapped:
        """Return the teacher's outputs for a batch."""
        teacher = self._teacher
        if teacher is None:
            if joined is None:
                raise ValueError(
                    "`Distiller` needs a teacher to train. Received: "
                    "teacher=None. Assign one with `distiller.teacher = "
                    "teacher`; a saved Distiller never holds it. Or train on "
                    "`cache.join(dataset)`."
                )
            layers = layer_names(self.distillation_losses, "teacher")
            self._check_losses_are_built()
            teacher = JoinedTeacher(None, layers)
        if teacher.reads_joined:
            return teacher(None, joined)
        if joined is not None:
            raise ValueError(
                "`Distiller` needs either a teacher that runs or data that a "
                "cache was joined to. Received: both, teacher="
                f"{teacher.model!r}. Set `distiller.teacher = cache` to "
                "learn from the cache, or train on the dataset itself."
            )
        return teacher(self._part(x, "teacher_input"))

    def _part(self: Any, x: Any, argument: str) -> Any:
        """Return the part of x that one of the models takes."""
        how = self._inputs[argument]
        return choose_input(x, how, subject="Distiller", argument=argument)

    def _check_losses_are_built(self: Any) -> None:
        for loss in self.distillation_losses:
            own = type(loss).build is not keras.Layer.build
            if own and not loss.built:
                raise ValueError(
                    f"`Distiller` needs a teacher to build `{loss.name}`, "
                    "which has weights of its own. Received: teacher=None. "
                    "Give the `TeacherCache` as the teacher."
                )

    def _check_xla(self: Any, asked: Any) -> None:
        if asked and getattr(self._teacher, "on_host", False):
            raise ValueError(
                requirement(
                    "compile",
                    "jit_compile",
                    "False for a HostTeacher, which XLA cannot call",
                    asked,
                    "Build a `TeacherCache` of it to train under XLA.",
                )
            )

    @contextmanager
    def _training(self: Any) -> Iterator[None]:
        """Raise what went wrong in a step as its plain sentence."""
        self._check_xla(self.jit_compile)
        if self._teacher is not None:
            self._teacher.error = None
        try:
            with readable():
                yield
        except tf.errors.OpError:
            cause = getattr(self._teacher, "error", None)
            if cause is None:
                raise
            raise cause from None


def _check_values(loss: DistillationLoss, teacher: Any, student: Any) -> None:
    values = loss.per_position(teacher, student)
    if len(values.shape) == 0:
        raise ValueError(
            f"`{loss.name}` needs to return one value per example, `(batch,)`. "
            "Received: a scalar. Leave the averaging to the Distiller."
        )
