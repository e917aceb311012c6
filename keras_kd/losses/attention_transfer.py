"""Attention transfer: where the student looks."""

from typing import Any

import keras
from keras import ops

from keras_kd.core.checks import check_integer
from keras_kd.losses.functional import unit
from keras_kd.losses.maps import MapLoss


@keras.saving.register_keras_serializable("keras_kd")
class AttentionTransfer(MapLoss):
    """Attention transfer: the student is active where the teacher is.

    It compares the mean activity at each position, so the models may differ
    in channels and no adapter is needed. Choose it for the last layers of
    each resolution of two convolutional networks. It costs little and adds
    no weights. Its values are small: the authors use `weight=1000`.

    Formula:
        `mean_i (a_i - b_i)^2` over the positions, where `a` and `b` are the
        means over channels of the features to the power of `exponent`, each
        map divided by its length.

    Reference:
        Zagoruyko and Komodakis 2017, arXiv:1612.03928, equation 2, as the
        authors' code has it: the mean of squares, not a sum of norms.

    Args:
        exponent: Power of the features, 1 or more. Odd powers keep the
            sign. Defaults to 2.
        **kwargs: `data_format` (`"channels_last"`, the default, or
            `"channels_first"`), and those of `DistillationLoss`.

    Shapes:
        teacher_outputs: maps `(batch, ..., channels)`, of one layer or
            several.
        student_outputs: maps of any channels; the larger map is
            average-pooled to the size of the smaller.

    Returns:
        `(batch,)`, float32 (float64 for float64 inputs).

    Raises:
        ValueError: If `exponent` or `data_format` is not allowed, or a layer
            has no positions.

    Example:
    >>> import keras_kd
    >>> import numpy as np
    >>> loss = keras_kd.losses.AttentionTransfer()
    >>> teacher = np.array([[[[1.0]], [[0.0]]]])
    >>> student = np.array([[[[1.0, 1.0]], [[1.0, 1.0]]]])
    >>> print(f"{float(loss(teacher, student)[0]):.4f}")
    0.2929
    """

    def __init__(self, exponent: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.exponent = check_integer(
            "AttentionTransfer", "exponent", exponent, low=1
        )

    def compare(self, teacher: Any, student: Any, place: int = 0) -> Any:
        """Return the mean squared difference of the two attention maps."""
        gap = self._attention(student) - self._attention(teacher)
        return ops.mean(ops.square(gap), axis=-1)

    def _attention(self, features: Any) -> Any:
        power = features
        for _ in range(self.exponent - 1):
            power = power * features
        return unit(ops.mean(power, axis=-1))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {"exponent": self.exponent}
