"""Relational knowledge distillation: distances and angles."""

from collections.abc import Mapping
from typing import Any
from typing import ClassVar

import keras
from keras import ops

from keras_kd.core.ranges import Range
from keras_kd.core.schedules import Number
from keras_kd.core.schedules import check_schedule
from keras_kd.core.schedules import to_config
from keras_kd.losses.functional import unit
from keras_kd.losses.relation import Own
from keras_kd.losses.relation import RelationLoss


@keras.saving.register_keras_serializable("keras_kd")
class RelationalKD(RelationLoss):
    """Relational KD: the examples keep their distances and angles.

    Only the shape of the cloud of examples counts, so the models' widths may
    differ and no adapter is needed. Choose it for embeddings and pooled
    features. It adds no weights. The angles cost
    `examples^3 * dimensions` products a step, and tensors of `examples^3`
    numbers (67 MB each for 256 examples), which the replicas share out.

    Formula:
        `distance_weight * mean_ij h(d_ij) + angle_weight * mean_ijk h(a_ijk)`
        with h(x) = `x^2 / 2` for `|x| < 1`, else `|x| - 1/2`, of the
        difference of the two models. Distances d are at least 1e-6 (an
        example's own is 0) and are divided by their mean over the pairs;
        a is the cosine of the angle between examples j and k seen from
        example i.

    Reference:
        Park et al. 2019, arXiv:1904.05068, equations 4 to 9. The features
        are not normalized.

    Args:
        distance_weight: Weight of the distances, 0 or more. Defaults to
            25.0, as in most published code; the paper has 1.
        angle_weight: Weight of the angles, 0 or more. Defaults to 50.0; the
            paper has 2. The number 0 saves their cost.
        gather: Whether the examples are those of the global batch of all
            replicas. Defaults to True.
        **kwargs: Those of `DistillationLoss`.

    Shapes:
        teacher_outputs: features `(batch, ...)`, of one layer or several.
        student_outputs: features `(batch, ...)`, of as many layers.

    Returns:
        `(batch,)`, each example's share, float32 (float64 for float64
        inputs). The mean is the formula. An example alone has the value 0.

    Raises:
        ValueError: If a weight is below 0.

    Example:
    >>> import keras_kd
    >>> import numpy as np
    >>> loss = keras_kd.losses.RelationalKD(angle_weight=0.0)
    >>> teacher, student = np.array([[[0], [1], [3]], [[0], [2], [3]]])
    >>> values = loss(teacher, student)
    >>> print([round(float(value), 4) for value in values])
    [1.0417, 2.0833, 1.0417]
    """

    ranges: ClassVar[Mapping[str, Range]] = {
        "distance_weight": Range(1.0, 100.0, log=True),
        "angle_weight": Range(1.0, 100.0, log=True),
    }

    def __init__(
        self,
        distance_weight: Number = 25.0,
        angle_weight: Number = 50.0,
        gather: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(gather=gather, **kwargs)
        self.distance_weight = check_schedule(
            "RelationalKD", "distance_weight", distance_weight, low=0
        )
        self.angle_weight = check_schedule(
            "RelationalKD", "angle_weight", angle_weight, low=0
        )

    def compare(self, teacher: Any, student: Any, own: Own) -> Any:
        """Return the share of each own example."""
        value = self.scheduled(self.distance_weight, student) * _mean_huber(
            self._distances(teacher, own), self._distances(student, own)
        )
        if self.angle_weight == 0:
            return value
        return value + self.scheduled(self.angle_weight, student) * _mean_huber(
            _angles(teacher, own), _angles(student, own)
        )

    def _distances(self, features: Any, own: Own) -> Any:
        """Return `(own, examples)`, divided by the mean of all pairs."""
        count = ops.shape(features)[0]
        numbers = ops.arange(count, dtype="int32")
        same = own(numbers)[:, None] == numbers[None]
        squares = ops.sum(ops.square(_gaps(features, own)), axis=-1)
        distances = ops.where(same, 0.0, ops.sqrt(ops.maximum(squares, 1e-12)))
        total = ops.sum(self.across_replicas(ops.sum(distances, axis=-1)))
        pairs = ops.cast(count * (count - 1), features.dtype)
        return ops.divide_no_nan(distances * pairs, total)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {
            "distance_weight": to_config(self.distance_weight),
            "angle_weight": to_config(self.angle_weight),
        }


def _gaps(features: Any, own: Own) -> Any:
    """Return `(own, examples, dimensions)`: from an example to the others."""
    return features[None] - own(features)[:, None]


def _angles(features: Any, own: Own) -> Any:
    """Return the cosines `(own, examples, examples)`."""
    directions = unit(_gaps(features, own))
    return ops.matmul(directions, ops.transpose(directions, (0, 2, 1)))


def _mean_huber(teacher: Any, student: Any) -> Any:
    gap = ops.abs(student - teacher)
    values = ops.where(gap < 1, ops.square(gap) / 2, gap - 0.5)
    return ops.mean(values, axis=tuple(range(1, len(values.shape))))
