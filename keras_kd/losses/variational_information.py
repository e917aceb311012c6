"""Variational information: the student's features tell the teacher's."""

import math
from itertools import pairwise
from typing import Any

import keras
from keras import ops

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import check_number
from keras_kd.losses.maps import MapLoss
from keras_kd.losses.maps import each_shape

_LEAST = 1e-5


@keras.saving.register_keras_serializable("keras_kd")
class VariationalInformation(MapLoss):
    """Variational information: the student's features tell the teacher's.

    Three 1x1 convolutions predict the teacher's features from the student's,
    with one variance for each of the teacher's channels, so that channels
    that cannot be predicted cost little. They are trained and saved with the
    Distiller and are no part of the student. Choose it for the last layers
    of each resolution. It costs the three convolutions a layer. The value
    may be negative.

    Formula:
        `mean 0.5 ((t - m(s))^2 / v + log v)` over channels and positions,
        with `m` the convolutions and `v = softplus(r) + 1e-5`.

    Reference:
        Ahn et al. 2019, arXiv:1904.05835, equation 6, with the convolutions
        of RepDistiller.

    Args:
        hidden_channels: Channels between the convolutions, 1 or more.
            Defaults to `None`: as many as the teacher has.
        variance: The variances at the start, above 1e-5. Defaults to 5.0.
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
        ValueError: If an argument is not allowed, or a layer has no
            positions.

    Example:
    >>> import keras_kd
    >>> import numpy as np
    >>> loss = keras_kd.losses.VariationalInformation(variance=1.0)
    >>> value = loss(np.ones((1, 2, 2, 3)), np.zeros((1, 2, 2, 1)))
    >>> print(f"{float(value[0]):.2f}, {len(loss.weights)} weights")
    0.50, 4 weights
    """

    def __init__(
        self,
        hidden_channels: int | None = None,
        variance: float = 5.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        subject = type(self).__name__
        if hidden_channels is not None:
            check_integer(subject, "hidden_channels", hidden_channels, low=1)
        self.hidden_channels = hidden_channels
        self.variance = check_number(
            subject, "variance", variance, above=_LEAST
        )
        self._parts: list[Any] = []

    def build(
        self, teacher_outputs_shape: Any, student_outputs_shape: Any
    ) -> None:
        """Make the convolutions and variances of each layer."""
        axis = 1 if self.data_format == "channels_first" else -1
        pairs = zip(
            each_shape(teacher_outputs_shape),
            each_shape(student_outputs_shape),
            strict=True,
        )
        start = math.log(math.expm1(self.variance - _LEAST))
        self._parts = []
        for number, (teacher, student) in enumerate(pairs):
            made = teacher[axis]
            hidden = self.hidden_channels or made
            widths = [student[axis], hidden, hidden, made]
            kernels = [
                self.add_weight(
                    shape=(given, taken), name=f"kernel_{number}_{place}"
                )
                for place, (given, taken) in enumerate(pairwise(widths))
            ]
            spread = self.add_weight(
                shape=(made,),
                initializer=keras.initializers.Constant(start),
                name=f"variance_{number}",
            )
            self._parts.append((kernels, spread))

    def compare(self, teacher: Any, student: Any, place: int = 0) -> Any:
        """Return the mean negative log-likelihood, without its constant."""
        kernels, spread = self._parts[place]
        x = student
        for kernel in kernels[:-1]:
            x = ops.relu(ops.matmul(x, ops.cast(kernel, x.dtype)))
        predicted = ops.matmul(x, ops.cast(kernels[-1], x.dtype))
        variance = ops.softplus(ops.cast(spread, x.dtype)) + _LEAST
        gap = teacher - predicted
        return ops.mean(
            0.5 * (ops.square(gap) / variance + ops.log(variance)),
            axis=(1, 2),
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {
            "hidden_channels": self.hidden_channels,
            "variance": self.variance,
        }
