"""SimKD: the student's last map becomes the teacher's, which is classified."""

from typing import Any

import keras
from keras import ops

from keras_kd.core.checks import requirement
from keras_kd.losses.maps import MapLoss


@keras.saving.register_keras_serializable("keras_kd")
class SimKD(MapLoss):
    """SimKD: the student learns the map that the teacher's head classifies.

    The student is one of `keras_kd.students.with_teacher_head`: a backbone,
    a projector to the teacher's last map, and the teacher's own classifier,
    frozen. All three are in what is saved and exported. Train it with
    `alpha=1`, without labels. Choose it for convolutional classifiers of the
    same classes; where every kilobyte counts, the projector's and the
    head's size speak against it. The loss has no weights.

    Formula:
        `mean (student - teacher)^2` over channels and positions.

    Reference:
        Chen et al. 2022, arXiv:2203.14001, equation 2, as the mean of the
        authors' code.

    Args:
        student_layer: The projector's last layer. Defaults to
            `"projector"`, its name in `with_teacher_head`.
        **kwargs: `teacher_layer`, the layer whose map the teacher's head
            takes; `data_format` (`"channels_last"`, the default, or
            `"channels_first"`), and `weight`, `name` and `output` of
            `DistillationLoss`.

    Shapes:
        teacher_outputs: maps `(batch, ..., channels)`.
        student_outputs: maps of as many channels; the larger map is
            average-pooled to the size of the smaller.

    Returns:
        `(batch,)`, float32 (float64 for float64 inputs).

    Raises:
        ValueError: If the channels differ, or a layer has no positions.

    Example:
    >>> import keras_kd
    >>> import numpy as np
    >>> loss = keras_kd.losses.SimKD()
    >>> value = loss(np.ones((1, 4, 4, 3)), np.full((1, 8, 8, 3), 0.5))
    >>> print(f"{float(value[0]):.2f}")
    0.25
    """

    def __init__(
        self, student_layer: str | list[str] | None = None, **kwargs: Any
    ) -> None:
        if student_layer is None and kwargs.get("teacher_layer") is not None:
            student_layer = "projector"
        super().__init__(student_layer=student_layer, **kwargs)

    def compare(self, teacher: Any, student: Any, place: int = 0) -> Any:
        """Return the mean squared error of each example."""
        if teacher.shape[-1] != student.shape[-1]:
            raise ValueError(
                requirement(
                    self.name,
                    "student_layer",
                    f"a layer with the teacher's {teacher.shape[-1]} channels",
                    self.student_layer,
                    f"It has {student.shape[-1]}. Make the student with "
                    "`keras_kd.students.with_teacher_head`.",
                )
            )
        return ops.mean(ops.square(student - teacher), axis=(1, 2))
