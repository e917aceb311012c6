"""Hints: the student's layers or embeddings come close to the teacher's."""

from typing import Any

import keras
from keras import ops

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import requirement
from keras_kd.losses.adapter import AdaptedLoss

METRICS = ("squared_error", "cosine")


@keras.saving.register_keras_serializable("keras_kd")
class Hint(AdaptedLoss):
    """Hints: the student's features or embeddings match the teacher's.

    Without layers it compares the models' outputs, which is how an embedding
    is distilled; with `metric="cosine"` only the direction counts. With
    layers it is FitNets' hint. It adds no weights unless an `adapter` is
    given.

    Formula:
        squared error: `mean_c (student_c - teacher_c)^2` over the last axis;
        cosine: `1 - cos(student, teacher)` over the last axis, with norms of
        at least 1e-12.

    Reference:
        Romero et al. 2015, arXiv:1412.6550, equation 3, without its factor
        1/2.

    Args:
        metric: `"squared_error"` or `"cosine"`. Defaults to
            `"squared_error"`.
        adapter: A Keras layer that maps the student's features to the shape
            of the teacher's; trained and saved with the Distiller. Defaults
            to `None`: the shapes must be equal.
        **kwargs: `weight`, `weighting`, `class_balance`, `name`,
            `teacher_layer`, `student_layer` and `output` of
            `DistillationLoss`.

    Shapes:
        teacher_outputs: features or embeddings `(batch, ..., channels)`.
        student_outputs: the same, after the adapter.

    Returns:
        `(batch, ...)` without the last axis, float32 (float64 for float64
        inputs).

    Raises:
        ValueError: If `metric` is unknown, or the shapes differ.

    Example:
    >>> import keras_kd
    >>> loss = keras_kd.losses.Hint(metric="cosine")
    >>> print(f"{float(loss([[3.0, 4.0]], [[4.0, 3.0]])[0]):.2f}")
    0.04
    """

    kind = "feature"

    def __init__(
        self,
        metric: str = "squared_error",
        adapter: keras.Layer | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("teacher_layer") is not None:
            self.reads = "layers"
        super().__init__(adapter=adapter, **kwargs)
        self.metric = check_choice("Hint", "metric", metric, METRICS)

    def call(
        self,
        teacher_outputs: Any,
        student_outputs: Any,
        labels: Any = None,
        training: bool = False,
    ) -> Any:
        """Return the distance of each example and position."""
        if isinstance(teacher_outputs, (list, tuple)):
            each = zip(teacher_outputs, student_outputs, strict=True)
            values = [self._distance(t, s, training) for t, s in each]
            return sum(values[1:], values[0])
        return self._distance(teacher_outputs, student_outputs, training)

    def _distance(self, teacher: Any, student: Any, training: bool) -> Any:
        student = self.adapted(student, training)
        if tuple(teacher.shape[1:]) != tuple(student.shape[1:]):
            raise ValueError(
                requirement(
                    self.name,
                    "adapter",
                    "a layer that maps the student's features to the "
                    f"teacher's shape {tuple(teacher.shape)}",
                    tuple(student.shape),
                )
            )
        if self.metric == "squared_error":
            return ops.mean(ops.square(student - teacher), axis=-1)
        dot = ops.sum(teacher * student, axis=-1)
        return 1 - dot / (_norm(teacher) * _norm(student))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {"metric": self.metric}


def _norm(tensor: Any) -> Any:
    squares = ops.sum(ops.square(tensor), axis=-1)
    return ops.sqrt(ops.maximum(squares, 1e-24))
