"""DIST: correlations instead of equal probabilities."""

from collections.abc import Mapping
from typing import Any
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from keras_kd.core.ranges import Range
from keras_kd.core.schedules import Number
from keras_kd.core.schedules import check_schedule
from keras_kd.core.schedules import to_config
from keras_kd.losses.base import DistillationLoss
from keras_kd.losses.functional import length
from keras_kd.losses.temperature import check_temperature


@keras.saving.register_keras_serializable("keras_kd")
class DIST(DistillationLoss):
    """DIST: the student's probabilities correlate with the teacher's.

    Correlations leave the student free to be less sure than the teacher.
    Choose it where the teacher is much stronger than the student. It costs
    as much as soft targets. The second term compares each class over the
    examples of the batch, so it needs a batch that is not small; for an
    example alone it is the constant `T^2 * intra_weight`. A student that is
    surely wrong has hardly a slope: keep the labels' loss beside it.
    Probabilities that are all equal, as those of a new head of zeros, have
    the correlation 0 and no slope. With two classes the first term only
    tells which of them is likelier: choose another loss there.

    Formula:
        `T^2 * (inter_weight * (1 - r(p_i, q_i)) +
        intra_weight * (1 - mean_c r(p_c, q_c)))` with p, q the softmaxes at
        temperature T, p_i a row (the classes of one example), p_c a column
        (the examples of one class) and Pearson's correlation
        `r(a, b) = sum(a b) / (|a| |b| + 1e-8)` of centred vectors.

    Reference:
        Huang et al. 2022, arXiv:2205.10536, section 4.

    Args:
        temperature: T, greater than 0: a number, a `LearningRateSchedule` or
            a `LearnableTemperature`. Defaults to 1.0, as for ImageNet; the
            authors use 4 for CIFAR.
        inter_weight: Weight of the correlation of an example's classes, 0 or
            more. Defaults to 1.0.
        intra_weight: Weight of the correlation of a class's examples, 0 or
            more. Defaults to 1.0.
        gather: Whether a class's examples are those of the global batch of
            all replicas. Defaults to True.
        **kwargs: Those of `DistillationLoss`.

    Shapes:
        teacher_outputs: logits `(batch, ..., classes)`, any float dtype.
            Each position counts as an example, a padded one in the second
            term too.
        student_outputs: logits of the same shape.

    Returns:
        `(batch, ...)` without the classes, float32 (float64 for float64
        inputs).

    Raises:
        ValueError: If an argument is out of its range, or the class counts
            differ.

    Example:
    >>> import keras_kd
    >>> loss = keras_kd.losses.DIST(intra_weight=0.0)
    >>> values = loss([[4.0, 0.0, -2.0]], [[1.0, 1.0, 0.0]])
    >>> print(f"{float(values[0]):.4f}")
    0.4880
    """

    needs_classes = True
    uses_batch = True
    ranges: ClassVar[Mapping[str, Range]] = {
        "temperature": Range(1.0, 8.0, log=True)
    }

    def __init__(
        self,
        temperature: Number = 1.0,
        inter_weight: Number = 1.0,
        intra_weight: Number = 1.0,
        gather: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(gather=gather, **kwargs)
        self.temperature = check_temperature("DIST", temperature, "Use 1 to 4.")
        self.inter_weight = check_schedule(
            "DIST", "inter_weight", inter_weight, low=0
        )
        self.intra_weight = check_schedule(
            "DIST", "intra_weight", intra_weight, low=0
        )

    def call(
        self, teacher_outputs: Any, student_outputs: Any, labels: Any = None
    ) -> Any:
        """Return both terms, the second the same for each example."""
        temperature, inter_weight, intra_weight = (
            self.scheduled(number, student_outputs)
            for number in (
                self.temperature,
                self.inter_weight,
                self.intra_weight,
            )
        )
        p = ops.softmax(teacher_outputs / temperature, axis=-1)
        q = ops.softmax(student_outputs / temperature, axis=-1)
        inter = 1 - _correlation(p, q, -1)
        all_p, all_q = (
            ops.reshape(self.across_replicas(x), (-1, x.shape[-1]))
            for x in (p, q)
        )
        intra = 1 - ops.mean(_correlation(all_p, all_q, 0))
        return ops.square(temperature) * (
            inter_weight * inter + intra_weight * intra
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {
            "temperature": to_config(self.temperature),
            "inter_weight": to_config(self.inter_weight),
            "intra_weight": to_config(self.intra_weight),
        }


def _correlation(a: Any, b: Any, axis: int) -> Any:
    a, b = _centred(a, axis), _centred(b, axis)
    lengths = length(a, axis) * length(b, axis)
    return ops.sum(a * b, axis=axis) / (lengths + 1e-8)


def _centred(vectors: Any, axis: int) -> Any:
    """Subtract the mean; vectors of one number become 0, without a slope.

    Their rounding errors would correlate with anything, with slopes of 1e8.
    """
    centred = vectors - ops.mean(vectors, axis=axis, keepdims=True)
    epsilon = np.finfo(keras.backend.standardize_dtype(vectors.dtype)).eps
    noise = 8 * float(epsilon) * length(vectors, axis, keepdims=True)
    varies = length(centred, axis, keepdims=True) > noise
    return ops.where(varies, centred, 0.0)
