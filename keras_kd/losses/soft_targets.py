"""Knowledge distillation on temperature-scaled logits."""

from collections.abc import Mapping
from typing import Any
from typing import ClassVar

import keras

from keras_kd.core.ranges import Range
from keras_kd.core.schedules import Number
from keras_kd.core.schedules import to_config
from keras_kd.losses.base import DistillationLoss
from keras_kd.losses.functional import soft_targets
from keras_kd.losses.temperature import check_temperature


@keras.saving.register_keras_serializable("keras_kd")
class SoftTargets(DistillationLoss):
    """Soft targets: the student learns the teacher's softened probabilities.

    This is the default and the method to beat: in the published tables it is
    among the best of the early methods, at no extra cost. Set
    `standardize=True` if the teacher's logits are much larger than the
    student can produce.

    Formula:
        `T^2 * sum_c p_c (log p_c - log q_c)` with
        `p = softmax(teacher / T)`, `q = softmax(student / T)`, computed from
        log-softmaxes in float32. The factor T^2 keeps the size of the
        gradient roughly independent of the temperature.

    Reference:
        Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2.
        Standardization: Sun et al. 2024, arXiv:2403.01427, with the unbiased
        standard deviation plus 1e-7, as in the authors' code.

    Args:
        temperature: T, greater than 0: a number, a `LearningRateSchedule` or
            a `LearnableTemperature`. Defaults to 4.0, the usual value for
            CIFAR; 1 to 2 suits teachers with many classes.
        standardize: Whether to replace each row of logits by its z-score
            first. Defaults to False.
        **kwargs: Those of `DistillationLoss`.

    Shapes:
        teacher_outputs: logits `(batch, ..., classes)`, any float dtype.
        student_outputs: logits of the same shape.

    Returns:
        `(batch,)`, float32 (float64 for float64 inputs).

    Raises:
        ValueError: If `temperature` is not greater than 0, or the class
            counts differ.

    Example:
    >>> import keras_kd
    >>> loss = keras_kd.losses.SoftTargets(temperature=2.0)
    >>> values = loss([[4.0, 0.0, -2.0]], [[1.0, 1.0, 0.0]])
    >>> print(f"{float(values[0]):.4f}")
    1.8190
    """

    needs_classes = True
    ranges: ClassVar[Mapping[str, Range]] = {
        "temperature": Range(1.0, 16.0, log=True)
    }

    def __init__(
        self,
        temperature: Number = 4.0,
        standardize: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.temperature = check_temperature(
            "SoftTargets", temperature, "Use 2 to 6 for most classifiers."
        )
        self.standardize = bool(standardize)

    def call(
        self, teacher_outputs: Any, student_outputs: Any, labels: Any = None
    ) -> Any:
        """Return the divergence of each example and position."""
        return soft_targets(
            teacher_outputs,
            student_outputs,
            self.scheduled(self.temperature),
            self.standardize,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {
            "temperature": to_config(self.temperature),
            "standardize": self.standardize,
        }
