"""Decoupled knowledge distillation: the label's class and the others apart."""

from collections.abc import Mapping
from typing import Any
from typing import ClassVar

import keras
from keras import ops

from keras_kd.core.ranges import Range
from keras_kd.core.schedules import Number
from keras_kd.core.schedules import check_schedule
from keras_kd.core.schedules import to_config
from keras_kd.losses.base import DistillationLoss
from keras_kd.losses.functional import kl_divergence
from keras_kd.losses.functional import standardize as standardized
from keras_kd.losses.targets import class_mask
from keras_kd.losses.targets import has_label
from keras_kd.losses.temperature import check_temperature


@keras.saving.register_keras_serializable("keras_kd")
class DecoupledKD(DistillationLoss):
    """Decoupled KD: how sure, and which other classes, weighted apart.

    Soft targets say little about the other classes where the teacher is
    sure; this loss weights that part on its own. Choose it for labelled
    classes, three or more, and a sure teacher. It costs as much as soft
    targets. Its values are large: give the Distiller
    `student_loss_weight=1.0` and raise `weight` from 0 to 1 over the first
    epochs, as the authors do.

    Formula:
        `T^2 * (target_weight * KL(b_t to b_s) +
        non_target_weight * KL(o_t to o_s))` at temperature T, where b are
        the two probabilities of the target class and of all others together,
        and o the softmax over the others alone. The mass of the others is a
        log-sum-exp of their logits, never one minus the target's.

    Reference:
        Zhao et al. 2022, arXiv:2203.08679, equation 7, times T^2 and with an
        exact mask, as the authors' code means it.

    Args:
        temperature: T, greater than 0: a number, a `LearningRateSchedule` or
            a `LearnableTemperature`. Defaults to 4.0.
        target_weight: Weight of the target class, 0 or more. Defaults to
            1.0.
        non_target_weight: Weight of the other classes, 0 or more. Defaults
            to 8.0, the authors' value for many pairs of models.
        standardize: Whether to replace each row of logits by its z-score
            first. Defaults to False.
        **kwargs: Those of `DistillationLoss`.

    Shapes:
        teacher_outputs: logits `(batch, ..., classes)`, any float dtype.
        student_outputs: logits of the same shape.
        labels: the target classes, of a distribution the likeliest. Where
            there is no label, the teacher's likeliest class is the target.

    Returns:
        `(batch, ...)` without the classes, float32 (float64 for float64
        inputs).

    Raises:
        ValueError: If an argument is out of its range, or the class counts
            differ.

    Example:
    >>> import keras_kd
    >>> loss = keras_kd.losses.DecoupledKD(temperature=1.0)
    >>> values = loss([[4.0, 0.0, -2.0]], [[1.0, 1.0, 0.0]], [0])
    >>> print(f"{float(values[0]):.4f}")
    1.2932
    """

    needs_classes = True
    ranges: ClassVar[Mapping[str, Range]] = {
        "temperature": Range(1.0, 16.0, log=True),
        "non_target_weight": Range(0.5, 16.0, log=True),
    }

    def __init__(
        self,
        temperature: Number = 4.0,
        target_weight: Number = 1.0,
        non_target_weight: Number = 8.0,
        standardize: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.temperature = check_temperature(
            "DecoupledKD", temperature, "Use 2 to 6 for most classifiers."
        )
        self.target_weight = check_schedule(
            "DecoupledKD", "target_weight", target_weight, low=0
        )
        self.non_target_weight = check_schedule(
            "DecoupledKD", "non_target_weight", non_target_weight, low=0
        )
        self.standardize = bool(standardize)

    def call(
        self, teacher_outputs: Any, student_outputs: Any, labels: Any = None
    ) -> Any:
        """Return the weighted divergences of each example and position."""
        target = _target(teacher_outputs, labels)
        if self.standardize:
            teacher_outputs = standardized(teacher_outputs)
            student_outputs = standardized(student_outputs)
        temperature = self.scheduled(self.temperature, student_outputs)
        teacher = teacher_outputs / temperature
        student = student_outputs / temperature
        others = [
            ops.where(target, -float("inf"), z) for z in (teacher, student)
        ]
        pairs = [
            ops.stack(
                [
                    ops.sum(ops.where(target, z, 0.0), axis=-1),
                    ops.logsumexp(other, axis=-1),
                ],
                axis=-1,
            )
            for z, other in zip((teacher, student), others, strict=True)
        ]
        value = self.scheduled(self.target_weight, student) * kl_divergence(
            *pairs
        ) + self.scheduled(self.non_target_weight, student) * kl_divergence(
            *others
        )
        return ops.square(temperature) * value

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {
            "temperature": to_config(self.temperature),
            "target_weight": to_config(self.target_weight),
            "non_target_weight": to_config(self.non_target_weight),
            "standardize": self.standardize,
        }


def _target(teacher: Any, labels: Any) -> Any:
    """Mark the target class; without a label, the teacher's likeliest."""
    classes = teacher.shape[-1]
    likeliest = class_mask(ops.argmax(teacher, axis=-1), classes)
    if labels is None:
        return likeliest
    labels = ops.convert_to_tensor(labels)
    known = ops.expand_dims(has_label(labels), -1)
    return ops.where(known, class_mask(labels, classes), likeliest)
