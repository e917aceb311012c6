"""ReviewKD: each teacher's map is learned from the student's deeper ones."""

from typing import Any

import keras
from keras import layers
from keras import ops

from keras_kd.core.checks import requirement
from keras_kd.losses.maps import MapLoss
from keras_kd.losses.maps import each_shape
from keras_kd.losses.maps import resized

_WIDEST = 512
_POOLED = (4, 2, 1)


@keras.saving.register_keras_serializable("keras_kd")
class ReviewKD(MapLoss):
    """ReviewKD: each teacher's map is learned from the student's deeper ones.

    From deep to shallow, the student's map is fused with what the deeper
    ones gave, brought to the teacher's size and width, and compared at
    several scales. Choose it for convolutional models whose teacher has a
    layer for every resolution. Prefer a loss without weights, such as
    `AttentionTransfer`, for a training of few epochs: the fusion starts at
    random. It costs up to three convolutions a level, one of them 3x3 at the
    teacher's size and width; they are trained and saved with the Distiller
    and are no part of the student.

    Called on arrays without layers, it is the comparison alone (the
    hierarchical context loss, HCL), without weights.

    Formula:
        `sum_levels sum_k 2^-k mean (P_k(s) - P_k(t))^2 / sum_k 2^-k`. P_0
        keeps the map, P_1, P_2, ... average-pool it to 4x4, 2x2, 1x1; sizes
        that are not below the height are left out, and the next one takes
        their place. With fusion, s is `conv3x3(resize(f))`, where
        `f = a * conv1x1(x) + b * resize(deeper f)`, each convolution with
        BatchNormalization, and (a, b) the sigmoid of a 1x1 convolution of
        both; the deepest level has nothing to fuse.

    Reference:
        Chen et al. 2021, arXiv:2104.09044, sections 3.2 and 3.3, with the
        levels and convolutions of the authors' code. They weight it 1 to 8,
        and in the first 20 epochs the weight grows from 0: give `weight` a
        schedule. Their teacher's maps are those before the activation.

    Args:
        fusion: Whether the student's maps are fused. Defaults to `None`: if
            layers are named, as a Distiller needs it.
        **kwargs: `data_format` (`"channels_last"`, the default, or
            `"channels_first"`), and those of `DistillationLoss`.

    Shapes:
        teacher_outputs: maps `(batch, height, width, channels)` of fixed
            size, or pooled features `(batch, channels)`, of one layer or of
            several from shallow to deep.
        student_outputs: as many, of any sizes and channels; without fusion
            of the teacher's.

    Returns:
        `(batch,)`, float32 (float64 for float64 inputs without fusion).

    Raises:
        ValueError: If an output is no map, or, without fusion, the shapes
            differ.

    Example:
    >>> import keras_kd
    >>> import numpy as np
    >>> loss = keras_kd.losses.ReviewKD()
    >>> value = loss(np.ones((1, 8, 8, 3)), np.zeros((1, 8, 8, 3)))
    >>> print(f"{float(value[0]):.2f}, {len(loss.weights)} weights")
    1.00, 0 weights
    """

    def __init__(self, fusion: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        named = self.teacher_layer is not None
        self.fusion = named if fusion is None else bool(fusion)
        self._fuse: Any = None

    def build(
        self, teacher_outputs_shape: Any, student_outputs_shape: Any
    ) -> None:
        """Make the convolutions of the fusion."""
        if self.fusion:
            teacher, student = (
                [
                    self._map(keras.KerasTensor(shape)).shape[1:]
                    for shape in each_shape(shapes)
                ]
                for shapes in (teacher_outputs_shape, student_outputs_shape)
            )
            self._fuse = _fusion(teacher, student)

    def call(
        self,
        teacher_outputs: Any,
        student_outputs: Any,
        labels: Any = None,
        training: bool = False,
    ) -> Any:
        """Return the value of each example."""
        teacher, student = (
            [self._map(x) for x in keras.tree.flatten(outputs)]
            for outputs in (teacher_outputs, student_outputs)
        )
        if self.fusion:
            student = keras.tree.flatten(self._fuse(student, training=training))
        pairs = zip(teacher, student, strict=True)
        values = [self._hierarchical(*pair) for pair in pairs]
        return sum(values[1:], values[0])

    def _map(self, features: Any) -> Any:
        """Return `(batch, height, width, channels)`."""
        sizes = tuple(features.shape[1:])
        if len(sizes) == 1:
            return features[:, None, None]
        if len(sizes) != 3 or None in sizes:
            raise ValueError(
                requirement(
                    self.name,
                    "teacher_layer",
                    "layers of images' maps of a fixed size, or of pooled "
                    "features `(batch, channels)`, and `student_layer` too",
                    tuple(features.shape),
                )
            )
        first = self.data_format == "channels_first"
        return ops.moveaxis(features, 1, -1) if first else features

    def _hierarchical(self, teacher: Any, student: Any) -> Any:
        """Return the mean squared error over several scales."""
        if teacher.shape[1:] != student.shape[1:]:
            raise ValueError(
                requirement(
                    self.name,
                    "fusion",
                    "True for maps of different shapes",
                    self.fusion,
                    f"The teacher's is {tuple(teacher.shape)}, the student's "
                    f"{tuple(student.shape)}, channels last.",
                )
            )
        gap = student - ops.cast(teacher, student.dtype)
        levels = [gap] + [
            resized(gap, (size, size), axis=1)
            for size in _POOLED
            if size < gap.shape[1]
        ]
        weights = [0.5**place for place in range(len(levels))]
        errors = [ops.mean(ops.square(x), axis=(1, 2, 3)) for x in levels]
        weighted = [w * e for w, e in zip(weights, errors, strict=True)]
        return sum(weighted[1:], weighted[0]) / sum(weights)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {"fusion": self.fusion}


def _fusion(teacher: list[Any], student: list[Any]) -> keras.Model:
    """Return the model from the student's maps to those like the teacher's.

    Args:
        teacher: `(height, width, channels)` of each level.
        student: Those of the student.
    """
    inputs = [keras.Input(shape, dtype="float32") for shape in student]
    hidden = min(_WIDEST, student[-1][-1])
    outputs: list[Any] = []
    fused = None
    for x, wanted in zip(reversed(inputs), reversed(teacher), strict=True):
        x = _normalized_convolution(x, hidden, 1)
        if fused is not None:
            fused = _resized(fused, x.shape[1:3])
            both = layers.Concatenate(dtype="float32")([x, fused])
            share = _convolution(2, 1, activation="sigmoid")(both)
            x = x * share[..., :1] + fused * share[..., 1:]
        fused = _resized(x, wanted[:2])
        outputs.insert(0, _normalized_convolution(fused, wanted[-1], 3))
    return keras.Model(inputs, outputs)


def _normalized_convolution(x: Any, filters: int, size: int) -> Any:
    # The range of the authors' `kaiming_uniform_(a=1)`.
    x = _convolution(
        filters, size, use_bias=False, kernel_initializer="lecun_uniform"
    )(x)
    return layers.BatchNormalization(
        axis=-1, momentum=0.9, epsilon=1e-5, dtype="float32"
    )(x)


def _convolution(filters: int, size: int, **settings: Any) -> keras.Layer:
    return layers.Conv2D(
        filters,
        size,
        padding="same",
        data_format="channels_last",
        dtype="float32",
        **settings,
    )


def _resized(x: Any, sizes: tuple[int, ...]) -> Any:
    """Take the nearest positions, as PyTorch's `interpolate` does."""
    for axis, size in enumerate(sizes, 1):
        given = x.shape[axis]
        if given != size:
            places = [place * given // size for place in range(size)]
            x = ops.take(x, places, axis=axis)
    return x
