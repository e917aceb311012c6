"""Regression: the student's numbers match the teacher's."""

from typing import Any

import keras
from keras import ops

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement
from keras_kd.losses.base import DistillationLoss

METRICS = ("squared_error", "absolute", "quantile")


@keras.saving.register_keras_serializable("keras_kd")
class TargetRegression(DistillationLoss):
    """Regression: the student's numbers match the teacher's.

    Choose it for outputs that are numbers and need more than the squared
    error of `LogitsMSE`: the absolute error, where some of the teacher's
    numbers are far off; the quantile error, for models of quantiles; or
    `bounded`, for a teacher that may be wrong.

    Formula:
        The mean over the last axis of `(s - t)^2`, `|s - t|`, or
        `max(q (t - s), (q - 1) (t - s))` for the quantile q. `bounded`: the
        student's error from the label, `e(s, y)`, where
        `e(s, y) + margin > e(t, y)`, else 0.

    Reference:
        Chen et al., NIPS 2017, "Learning Efficient Object Detection Models
        with Knowledge Distillation", section 3.3, for `bounded`, with the
        mean instead of the sum over an example's numbers. Koenker and
        Bassett 1978 for the quantile error.

    Args:
        metric: `"squared_error"`, `"absolute"` or `"quantile"`. Defaults to
            `"squared_error"`.
        quantiles: For `"quantile"`: a number between 0 and 1, or one for
            each place on the last axis.
        bounded: Whether the student learns from the label, and only until it
            is better than the teacher by `margin`. The teacher's numbers
            then only decide where. Needs labels; unknown ones (NaN) count
            in neither error. Defaults to False.
        margin: For `bounded`: 0 or more, in the unit of the error. Defaults
            to 0.0.
        **kwargs: Those of `DistillationLoss`.

    Shapes:
        teacher_outputs: numbers `(batch, ...)`.
        student_outputs: numbers of the same shape.
        labels: the same shape; the last axis may be missing if it has the
            size 1, or holds quantiles.

    Returns:
        `(batch,)`, float32 (float64 for float64 inputs).

    Raises:
        ValueError: If an argument is not allowed, or `bounded` gets no
            labels or labels of another shape.

    Example:
    >>> import keras_kd
    >>> loss = keras_kd.losses.TargetRegression(bounded=True)
    >>> teacher, student, labels = [[1.0], [3.0]], [[2.0], [2.0]], [[0.0]] * 2
    >>> print(loss(teacher, student, labels).numpy())
    [4. 0.]
    """

    def __init__(
        self,
        metric: str = "squared_error",
        quantiles: float | tuple[float, ...] | None = None,
        bounded: bool = False,
        margin: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        subject = type(self).__name__
        self.metric = check_choice(subject, "metric", metric, METRICS)
        if (metric == "quantile") == (quantiles is None):
            expected = "given with `metric='quantile'`, and only with it"
            raise ValueError(
                requirement(subject, "quantiles", expected, quantiles)
            )
        self.quantiles = quantiles
        for number in keras.tree.flatten(quantiles or []):
            check_number(subject, "quantiles", number, low=0, high=1)
        self.bounded = self.needs_labels = bool(bounded)
        self.margin = check_number(subject, "margin", margin, low=0)
        if margin and not bounded:
            raise ValueError(
                requirement(subject, "margin", "0 without `bounded`", margin)
            )

    def call(
        self, teacher_outputs: Any, student_outputs: Any, labels: Any = None
    ) -> Any:
        """Return the error of each example and position."""
        teacher, student = teacher_outputs, student_outputs
        if len(student.shape) == 1:
            teacher, student = teacher[:, None], student[:, None]
        error = self._error(teacher, student)
        if not self.bounded or labels is None:
            return ops.mean(error, axis=-1)
        labels = self._like(labels, student)
        known = ops.logical_not(ops.isnan(labels))
        labels = ops.where(known, labels, 0.0)
        known = ops.broadcast_to(known, ops.shape(student))
        count = ops.sum(ops.cast(known, student.dtype), axis=-1)
        theirs, own = (
            ops.divide_no_nan(
                ops.sum(
                    ops.where(known, self._error(labels, outputs), 0.0), axis=-1
                ),
                count,
            )
            for outputs in (teacher, student)
        )
        return ops.where(own + self.margin > theirs, own, 0.0)

    def _error(self, targets: Any, outputs: Any) -> Any:
        gap = targets - outputs
        if self.metric == "squared_error":
            return ops.square(gap)
        if self.metric == "absolute":
            return ops.abs(gap)
        quantiles = ops.convert_to_tensor(self.quantiles, dtype=gap.dtype)
        if len(quantiles.shape) and quantiles.shape[0] != gap.shape[-1]:
            raise ValueError(
                requirement(
                    self.name,
                    "quantiles",
                    f"{gap.shape[-1]} numbers, as the last axis of the outputs",
                    self.quantiles,
                )
            )
        return ops.maximum(quantiles * gap, (quantiles - 1) * gap)

    def _like(self, labels: Any, outputs: Any) -> Any:
        """Return labels in the rank and dtype of the outputs."""
        labels = ops.cast(ops.convert_to_tensor(labels), outputs.dtype)
        shape = tuple(outputs.shape)
        shared = shape[-1] == 1 or self.metric == "quantile"
        if shared and len(labels.shape) == len(shape) - 1:
            labels = ops.expand_dims(labels, -1)
        sizes = [tuple(labels.shape[1:]), shape[1:]]
        if sizes[0] != sizes[1] and not (
            shared and sizes[0] == (*shape[1:-1], 1)
        ):
            raise ValueError(
                requirement(
                    self.name,
                    "labels",
                    f"numbers in the shape of the outputs, {shape}",
                    tuple(labels.shape),
                )
            )
        return labels

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {
            "metric": self.metric,
            "quantiles": self.quantiles,
            "bounded": self.bounded,
            "margin": self.margin,
        }
