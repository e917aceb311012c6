"""Channel-wise distillation: where each channel is active."""

from collections.abc import Mapping
from typing import Any
from typing import ClassVar

import keras
from keras import ops

from keras_kd.core.checks import requirement
from keras_kd.core.ranges import Range
from keras_kd.core.schedules import Number
from keras_kd.core.schedules import to_config
from keras_kd.losses.adapter import AdaptedLoss
from keras_kd.losses.functional import kl_divergence
from keras_kd.losses.maps import MapLoss
from keras_kd.losses.temperature import check_temperature


@keras.saving.register_keras_serializable("keras_kd")
class ChannelWise(AdaptedLoss, MapLoss):
    """Channel-wise: each channel is active where the teacher's is.

    A softmax over the positions makes a distribution of each channel. Choose
    it for dense prediction: the maps of class scores of a segmentation, or
    features. It costs as much as soft targets of as many values and adds no
    weights but an adapter's. The authors use `weight=3` and a temperature of
    4 for scores, `weight=50` for features.

    Formula:
        `T^2 * mean_c KL(p_c to q_c)` with `p_c`, `q_c` the softmaxes over
        the positions of channel c at temperature T.

    Reference:
        Shu et al. 2021, arXiv:2011.13256, equations 2 and 4.

    Args:
        temperature: T, greater than 0: a number, a `LearningRateSchedule` or
            a `LearnableTemperature`. Defaults to 1.0.
        adapter: A Keras layer that gives the student's features as many
            channels as the teacher's, such as a 1x1 convolution, or a list,
            one for each of several layers; trained and saved with the
            Distiller. Defaults to `None`.
        **kwargs: `data_format` (`"channels_last"`, the default, or
            `"channels_first"`), and those of `DistillationLoss`.

    Shapes:
        teacher_outputs: maps `(batch, ..., channels)`, of one layer or
            several.
        student_outputs: maps of the same channels, after the adapter; the
            larger map is average-pooled to the size of the smaller.

    Returns:
        `(batch,)`, float32 (float64 for float64 inputs).

    Raises:
        ValueError: If an argument is not allowed, the channels differ, or a
            layer has no positions.

    Example:
    >>> import keras_kd
    >>> import numpy as np
    >>> loss = keras_kd.losses.ChannelWise()
    >>> teacher = np.array([[[[2.0]], [[0.0]]]])
    >>> student = np.array([[[[0.0]], [[0.0]]]])
    >>> print(f"{float(loss(teacher, student)[0]):.4f}")
    0.3278
    """

    ranges: ClassVar[Mapping[str, Range]] = {
        "temperature": Range(1.0, 8.0, log=True)
    }

    def __init__(
        self,
        temperature: Number = 1.0,
        adapter: keras.Layer | list[keras.Layer] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(adapter=adapter, **kwargs)
        self.temperature = check_temperature("ChannelWise", temperature)

    def call(
        self,
        teacher_outputs: Any,
        student_outputs: Any,
        labels: Any = None,
        training: bool = False,
    ) -> Any:
        """Return the value of each example."""
        adapted = self.adapted(student_outputs, training)
        return super().call(teacher_outputs, adapted)

    def compare(self, teacher: Any, student: Any, place: int = 0) -> Any:
        """Return the mean divergence of the channels."""
        if teacher.shape[-1] != student.shape[-1]:
            raise ValueError(
                requirement(
                    self.name,
                    "adapter",
                    "a layer that gives the student's features the teacher's "
                    f"{teacher.shape[-1]} channels",
                    self.adapter,
                    f"They have {student.shape[-1]}.",
                )
            )
        temperature = self.scheduled(self.temperature, student)
        divergence = kl_divergence(
            *(ops.swapaxes(x, 1, 2) / temperature for x in (teacher, student))
        )
        return ops.square(temperature) * ops.mean(divergence, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {
            "temperature": to_config(self.temperature)
        }
