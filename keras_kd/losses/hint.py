"""Hints: the student's layers or embeddings come close to the teacher's."""

from typing import Any

import keras
from keras import ops

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import requirement
from keras_kd.losses.adapter import AdaptedLoss
from keras_kd.losses.adapter import fits
from keras_kd.losses.adapter import fitting_adapter
from keras_kd.losses.maps import FORMATS
from keras_kd.losses.maps import each_shape
from keras_kd.losses.maps import resized

METRICS = ("squared_error", "cosine")


@keras.saving.register_keras_serializable("keras_kd")
class Hint(AdaptedLoss):
    """Hints: the student's features or embeddings match the teacher's.

    Without layers it compares the models' outputs, which is how an embedding
    is distilled; with `metric="cosine"` only the direction counts. With
    layers it is FitNets' hint; the authors of RepDistiller use `weight=100`.
    Where the shapes differ it makes a linear adapter from them, trained and
    saved with the Distiller and no part of the student: `Dense` for vectors;
    for maps and sequences a convolution of kernel 3 and stride 2 if the
    teacher's is half as large, a transposed one of kernel 4 and stride 2 if
    it is twice as large, otherwise kernel 1, then adaptive average pooling
    to a smaller size and repetition to a larger one.

    Formula:
        squared error: `mean_c (student_c - teacher_c)^2` over the channels;
        cosine: `1 - cos(student, teacher)` over the channels, with norms of
        at least 1e-12. The terms of several layers add up.

    Reference:
        Romero et al. 2015, arXiv:1412.6550, equation 3, without its factor
        1/2. The adapter has no batch normalization and ReLU as RepDistiller's
        has, so that it can give the values of any teacher layer.

    Args:
        metric: `"squared_error"` or `"cosine"`. Defaults to
            `"squared_error"`.
        adapter: A Keras layer that maps the student's features to the shape
            of the teacher's, instead of the one made from the shapes; or a
            list, one for each of several layers. Several outputs share it:
            give each a loss with its `output` if their widths differ.
            Defaults to `None`.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to
            `"channels_last"`. A given adapter keeps the format.
        **kwargs: Those of `DistillationLoss`.

    Shapes:
        teacher_outputs: features or embeddings `(batch, ..., channels)`, of
            one layer or several.
        student_outputs: the same with as many axes, of any sizes.

    Returns:
        `(batch, ...)`, the shape without the channels; `(batch,)` for
        several layers, or where the sizes differ, so that padded positions
        count. float32 (float64 for float64 inputs).

    Raises:
        ValueError: If an argument is not allowed, no adapter can join the
            shapes, or a given adapter returns another shape than the
            teacher's.

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
        adapter: keras.Layer | list[keras.Layer] | None = None,
        data_format: str = "channels_last",
        **kwargs: Any,
    ) -> None:
        if kwargs.get("teacher_layer") or kwargs.get("layers"):
            self.reads = "layers"
        super().__init__(adapter=adapter, **kwargs)
        self.metric = check_choice("Hint", "metric", metric, METRICS)
        self.data_format = check_choice(
            "Hint", "data_format", data_format, FORMATS
        )
        self.adapters: list[keras.Layer | None] = []

    def build(
        self, teacher_outputs_shape: Any, student_outputs_shape: Any
    ) -> None:
        """Make the adapters that the shapes need."""
        if self.adapter is not None:
            return
        shapes = [
            each_shape(teacher_outputs_shape),
            each_shape(student_outputs_shape),
        ]
        for place, pair in enumerate(zip(*shapes, strict=True)):
            teacher, student = (self._channels_last(each) for each in pair)
            if len(teacher) != len(student) or len(teacher) > 4:
                raise ValueError(
                    f"`{self.name}` needs features of teacher and student "
                    "with as many axes, at most 3 besides batch and channels. "
                    f"Received: teacher {tuple(pair[0])}, student "
                    f"{tuple(pair[1])}. Choose layers before or after a "
                    "pooling in both models, or give an `adapter` that "
                    "returns the teacher's shape."
                )
            self.adapters.append(
                fitting_adapter(teacher, student, f"adapter_{place}")
            )

    def call(
        self,
        teacher_outputs: Any,
        student_outputs: Any,
        labels: Any = None,
        training: bool = False,
    ) -> Any:
        """Return the distance of each example and position."""
        teachers = keras.tree.flatten(teacher_outputs)
        students = self.adapted(student_outputs, training)
        values = [
            self._distance(*pair, place)
            for place, pair in enumerate(zip(teachers, students, strict=True))
        ]
        positions = self._channels_last(
            keras.tree.flatten(student_outputs)[0].shape
        )[:-1]
        if len(values) == 1 and fits(tuple(values[0].shape[1:]), positions):
            return values[0]  # for the masks of the student's positions
        means = [_by_example(each) for each in values]
        return sum(means[1:], means[0])

    def _distance(self, teacher: Any, student: Any, place: int) -> Any:
        if self.data_format == "channels_first":
            teacher = ops.moveaxis(teacher, 1, -1)
            student = ops.moveaxis(student, 1, -1)
        made = self.adapters[place] if self.adapters else None
        if made is not None:
            student = ops.cast(made(student), student.dtype)
            student = resized(student, teacher.shape[1:-1], axis=1)
        if not fits(tuple(teacher.shape[1:]), tuple(student.shape[1:])):
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

    def _channels_last(self, shape: Any) -> tuple[int | None, ...]:
        """Return a shape without its batch axis, channels last."""
        first = self.data_format == "channels_first"
        return (*shape[2:], shape[1]) if first else tuple(shape[1:])

    def _check_classes(self, teacher: Any, student: Any) -> None:
        """Embeddings of any width are joined by an adapter."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {
            "metric": self.metric,
            "data_format": self.data_format,
        }


def _by_example(values: Any) -> Any:
    """Return each example's mean over its positions."""
    return ops.mean(ops.reshape(values, (ops.shape(values)[0], -1)), axis=-1)


def _norm(tensor: Any) -> Any:
    squares = ops.sum(ops.square(tensor), axis=-1)
    return ops.sqrt(ops.maximum(squares, 1e-24))
