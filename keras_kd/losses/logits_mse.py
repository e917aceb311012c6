"""Squared difference between the logits."""

from typing import Any

import keras

from keras_kd.core.schedules import Number
from keras_kd.core.schedules import to_config
from keras_kd.losses.base import DistillationLoss
from keras_kd.losses.functional import logits_mse
from keras_kd.losses.temperature import check_temperature


@keras.saving.register_keras_serializable("keras_kd")
class LogitsMSE(DistillationLoss):
    """Logit matching: mean squared error between the logits.

    This is the limit of `SoftTargets` at high temperature, except that a
    shift of a row by a constant counts here. It is cheap and robust to the
    choice of temperature, but asks the student to match the scale of the
    teacher's logits, which a small student may not reach.

    Formula:
        `mean_c ((student_c - teacher_c) / T)^2`, over classes; no T^2 factor.

    Reference:
        Ba and Caruana 2014, arXiv:1312.6184, equation 1.

    Args:
        temperature: T, greater than 0: a number, a `LearningRateSchedule` or
            a `LearnableTemperature`. Defaults to 1.0.
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
    >>> loss = keras_kd.losses.LogitsMSE()
    >>> values = loss([[4.0, 0.0, -2.0]], [[1.0, 1.0, 0.0]])
    >>> print(f"{float(values[0]):.4f}")
    4.6667
    """

    def __init__(self, temperature: Number = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.temperature = check_temperature("LogitsMSE", temperature)

    def call(
        self, teacher_outputs: Any, student_outputs: Any, labels: Any = None
    ) -> Any:
        """Return the squared error of each example and position."""
        return logits_mse(
            teacher_outputs, student_outputs, self.scheduled(self.temperature)
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {
            "temperature": to_config(self.temperature)
        }
