"""Transformed teacher matching: a temperature on the teacher alone."""

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


@keras.saving.register_keras_serializable("keras_kd")
class TransformedTeacherMatching(DistillationLoss):
    """Transformed teacher matching: only the teacher is softened.

    The student at temperature 1 matches the softened teacher, which holds
    it back from being too sure. With `weighted=True` (WTTM) an example
    counts more where the teacher is unsure. Choose it where `SoftTargets`
    gives students that are too sure. It costs as much as soft targets. The
    weighted values grow with the number of classes.

    Formula:
        `U * KL(softmax(exponent * teacher) to softmax(student))` with
        `U = sum_c p_c^exponent` for the teacher's probabilities p, between 1
        and `classes^(1 - exponent)`; without `weighted`, U is 1. The powers
        are taken of log-softmaxes. The exponent is `1 / T`; there is no
        factor T^2.

    Reference:
        Zheng and Yang 2024, arXiv:2402.11148 (TTM and WTTM).

    Args:
        exponent: Exponent of the teacher's probabilities, greater than 0: a
            number or a `LearningRateSchedule`. Defaults to 0.1, which the
            authors' examples use.
        weighted: Whether to multiply by U. Defaults to True.
        **kwargs: Those of `DistillationLoss`.

    Shapes:
        teacher_outputs: logits `(batch, ..., classes)`, any float dtype.
        student_outputs: logits of the same shape.

    Returns:
        `(batch, ...)` without the classes, float32 (float64 for float64
        inputs).

    Raises:
        ValueError: If `exponent` is not greater than 0, or the class counts
            differ.

    Example:
    >>> import keras_kd
    >>> loss = keras_kd.losses.TransformedTeacherMatching(exponent=0.5)
    >>> values = loss([[4.0, 0.0, -2.0]], [[1.0, 1.0, 0.0]])
    >>> print(f"{float(values[0]):.4f}")
    0.4454
    """

    needs_classes = True
    ranges: ClassVar[Mapping[str, Range]] = {
        "exponent": Range(0.05, 1.0, log=True)
    }

    def __init__(
        self, exponent: Number = 0.1, weighted: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.exponent = check_schedule(
            "TransformedTeacherMatching",
            "exponent",
            exponent,
            above=0,
            advice="It is 1 / T: use 0.1 to 0.5 for most classifiers.",
        )
        self.weighted = bool(weighted)

    def call(
        self, teacher_outputs: Any, student_outputs: Any, labels: Any = None
    ) -> Any:
        """Return the divergence of each example and position."""
        exponent = self.scheduled(self.exponent, student_outputs)
        powers = exponent * ops.log_softmax(teacher_outputs, axis=-1)
        divergence = kl_divergence(powers, student_outputs)
        if not self.weighted:
            return divergence
        return ops.exp(ops.logsumexp(powers, axis=-1)) * divergence

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {
            "exponent": to_config(self.exponent),
            "weighted": self.weighted,
        }
