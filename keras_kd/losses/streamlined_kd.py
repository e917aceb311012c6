"""Streamlined KD: the directions of the examples' logits, in one metric."""

from collections.abc import Mapping
from typing import Any
from typing import ClassVar

import keras
from keras import ops

from keras_kd.core.checks import check_number
from keras_kd.core.ranges import Range
from keras_kd.core.schedules import Number
from keras_kd.core.schedules import check_schedule
from keras_kd.core.schedules import to_config
from keras_kd.losses.base import DistillationLoss
from keras_kd.losses.functional import root
from keras_kd.losses.functional import soft_targets
from keras_kd.losses.functional import unit
from keras_kd.losses.temperature import check_temperature


@keras.saving.register_keras_serializable("keras_kd")
class StreamlinedKD(DistillationLoss):
    """Streamlined KD: soft targets plus the directions of the logits.

    The second term compares the cosines of every two examples' logits, in
    Mahalanobis' metric. Choose it as soft targets that also look at the
    batch, without features or adapters. It costs `examples^3 / 3` products a
    step and adds no weights. For an example alone the second term is 0.

    Formula:
        `instance_weight * T^2 KL(p_i(T) to q_i(T)) +
        direction_weight * sqrt(D_i C^-1 D_i)` for example i, with `D = S - T`
        the difference of the models' cosines between the logits of every two
        examples, and C the unbiased covariance of the columns of D plus
        `tikhonov` on the diagonal, solved by Cholesky.

    Reference:
        Jeong et al., CVPR 2026, with the factor T^2 on the first term.

    Args:
        temperature: T of the first term, greater than 0: a number or a
            `LearningRateSchedule`. Defaults to 4.0.
        tikhonov: Number added to the diagonal of the covariance, greater
            than 0. Defaults to 0.1.
        instance_weight: Weight of the first term, 0 or more. Defaults to
            1.0.
        direction_weight: Weight of the second term, 0 or more. Defaults to
            1.0.
        gather: Whether the examples are those of the global batch of all
            replicas. Defaults to True.
        **kwargs: Those of `DistillationLoss`.

    Shapes:
        teacher_outputs: logits `(batch, ..., classes)`, any float dtype. The
            directions are those of all logits of an example together, those
            of padded positions too.
        student_outputs: logits of the same shape.

    Returns:
        `(batch, ...)` without the classes, float32 (float64 for float64
        inputs).

    Raises:
        ValueError: If an argument is out of its range, or the class counts
            differ.

    Example:
    >>> import keras_kd
    >>> loss = keras_kd.losses.StreamlinedKD(instance_weight=0.0)
    >>> values = loss([[4.0, 0.0], [0.0, 2.0]], [[1.0, 1.0], [0.0, 3.0]])
    >>> print([round(float(value), 4) for value in values])
    [1.7078, 1.7078]
    """

    needs_classes = True
    uses_batch = True
    ranges: ClassVar[Mapping[str, Range]] = {
        "temperature": Range(1.0, 16.0, log=True),
        "direction_weight": Range(0.1, 10.0, log=True),
    }

    def __init__(
        self,
        temperature: Number = 4.0,
        tikhonov: float = 0.1,
        instance_weight: Number = 1.0,
        direction_weight: Number = 1.0,
        gather: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(gather=gather, **kwargs)
        self.temperature = check_temperature(
            "StreamlinedKD", temperature, "Use 2 to 6 for most classifiers."
        )
        self.tikhonov = check_number(
            "StreamlinedKD", "tikhonov", tikhonov, above=0, advice="Use 0.1."
        )
        self.instance_weight = check_schedule(
            "StreamlinedKD", "instance_weight", instance_weight, low=0
        )
        self.direction_weight = check_schedule(
            "StreamlinedKD", "direction_weight", direction_weight, low=0
        )

    def call(
        self, teacher_outputs: Any, student_outputs: Any, labels: Any = None
    ) -> Any:
        """Return both terms of each example and position."""
        instance = soft_targets(
            teacher_outputs, student_outputs, self.scheduled(self.temperature)
        )
        direction = self.own_rows(
            self._directions(
                self.across_replicas(teacher_outputs),
                self.across_replicas(student_outputs),
            ),
            student_outputs,
        )
        while len(direction.shape) < len(instance.shape):
            direction = direction[:, None]
        return (
            self.scheduled(self.instance_weight, instance) * instance
            + self.scheduled(self.direction_weight, instance) * direction
        )

    def _directions(self, teacher: Any, student: Any) -> Any:
        """Return the distance of each example of the global batch."""
        gaps = _cosines(student) - _cosines(teacher)
        count = ops.shape(gaps)[0]
        centred = gaps - ops.mean(gaps, axis=0)
        covariance = ops.matmul(ops.transpose(centred), centred) / ops.cast(
            ops.maximum(count - 1, 1), gaps.dtype
        )
        factor = ops.cholesky(
            covariance + self.tikhonov * ops.eye(count, dtype=gaps.dtype)
        )
        solved = ops.solve_triangular(factor, ops.transpose(gaps), lower=True)
        return root(ops.sum(ops.square(solved), axis=0))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {
            "temperature": to_config(self.temperature),
            "tikhonov": self.tikhonov,
            "instance_weight": to_config(self.instance_weight),
            "direction_weight": to_config(self.direction_weight),
        }


def _cosines(logits: Any) -> Any:
    """Return the cosines `(examples, examples)`; masked classes count 0."""
    logits = ops.where(ops.isinf(logits), 0.0, logits)
    rows = unit(ops.reshape(logits, (ops.shape(logits)[0], -1)))
    return ops.matmul(rows, ops.transpose(rows))
