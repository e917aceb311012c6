"""Uses the teacher's most likely class as the label."""

from typing import Any

import keras

from keras_kd.losses.base import DistillationLoss
from keras_kd.losses.functional import hard_labels


@keras.saving.register_keras_serializable("keras_kd")
class HardLabels(DistillationLoss):
    """Hard labels: the teacher's most likely class is the student's label.

    Choose it for teachers that return only a class, and to pseudo-label data
    without labels. If the teacher's logits are known, `SoftTargets` conveys
    more.

    Formula:
        `-log softmax(student)[argmax(teacher)]`.

    Reference:
        Touvron et al. 2021, arXiv:2012.12877, equation 3 (hard-label
        distillation).

    Args:
        **kwargs: Those of `DistillationLoss`.

    Shapes:
        teacher_outputs: logits `(batch, ..., classes)`, any float dtype.
        student_outputs: logits of the same shape.

    Returns:
        `(batch,)`, float32 (float64 for float64 inputs).

    Raises:
        ValueError: If the class counts differ.

    Example:
    >>> import keras_kd
    >>> loss = keras_kd.losses.HardLabels()
    >>> values = loss([[4.0, 0.0, -2.0]], [[1.0, 1.0, 0.0]])
    >>> print(f"{float(values[0]):.4f}")
    0.8620
    """

    needs_classes = True

    def call(
        self, teacher_outputs: Any, student_outputs: Any, labels: Any = None
    ) -> Any:
        """Return the cross-entropy of each example and position."""
        return hard_labels(teacher_outputs, student_outputs)
