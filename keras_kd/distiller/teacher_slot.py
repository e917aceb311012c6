"""Where a Distiller keeps its teacher."""

from typing import Any

import keras

from keras_kd.distiller import compatibility
from keras_kd.distiller.terms import layer_names
from keras_kd.distiller.terms import pairs
from keras_kd.losses import DistillationLoss
from keras_kd.teachers import LiveTeacher


class TeacherSlot:
    """Holds the teacher where neither Keras nor TensorFlow looks.

    Not as a tracked attribute, which would be trained and saved; and not in
    `dir()`, which Keras' saver walks, reading every property.
    """

    @property
    def teacher(self: Any) -> keras.Model | None:
        """The teacher, or `None`; may be assigned at any time."""
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

    def _assign_teacher(self: Any, teacher: keras.Model | None) -> None:
        live = None
        if teacher is not None:
            live = LiveTeacher(
                teacher,
                layer_names(self.distillation_losses, "teacher"),
                self._settings["teacher_output"],
                logits=self._needs_logits,
            )
            compatibility.check_inputs(teacher, self.student)
            compatibility.check_replicas(self.student, self.distribute_strategy)
            # Builds the losses' own weights and checks the shapes.
            for loss in self.distillation_losses:
                for pair in pairs(loss, live.spec, self._student_tap.spec):
                    _check_values(loss, pair.teacher, pair.student)
        self._hold("_teacher", live)
        self.train_function = None  # it was traced with the former teacher

    def _require_teacher(self: Any) -> None:
        if self._teacher is None:
            raise ValueError(
                "`Distiller` needs a teacher to train. Received: "
                "teacher=None. Assign one with `distiller.teacher = teacher`; "
                "a saved Distiller never holds it."
            )


def _check_values(loss: DistillationLoss, teacher: Any, student: Any) -> None:
    values = loss.per_position(teacher, student)
    if len(values.shape) == 0:
        raise ValueError(
            f"`{loss.name}` needs to return one value per example, `(batch,)`. "
            "Received: a scalar. Leave the averaging to the Distiller."
        )
