"""Layers that bring the student's features to the shape of the teacher's."""

from typing import Any
from typing import Self

import keras
from keras import ops

from keras_kd.core.checks import requirement
from keras_kd.losses.base import DistillationLoss

Shape = tuple[int | None, ...]


class AdaptedLoss(DistillationLoss):
    """Passes the student's features through a layer of its own, if given.

    Args:
        adapter: A Keras layer, or a list with one for each of several
            layers; trained and saved with the Distiller and no part of the
            student; `None` for none.
        **kwargs: Those of the next base class.
    """

    def __init__(
        self,
        *,
        adapter: keras.Layer | list[keras.Layer] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.adapter = adapter

    def adapted(self, student_outputs: Any, training: bool) -> list[Any]:
        """Return the features of each layer as the adapter gives them.

        Args:
            student_outputs: The features of one layer, or of several.
            training: Whether the adapter runs in training mode.

        Raises:
            ValueError: If the adapters are not as many as the layers.
        """
        features: list[Any] = keras.tree.flatten(student_outputs)
        if self.adapter is None:
            return features
        adapters = keras.tree.flatten(self.adapter)
        if not isinstance(self.adapter, (list, tuple)):
            adapters *= len(features)
        if len(adapters) != len(features):
            raise ValueError(
                requirement(
                    self.name,
                    "adapter",
                    f"a list of {len(features)}, one for each layer",
                    adapters,
                )
            )
        return [
            ops.cast(adapter(each, training=training), each.dtype)
            for adapter, each in zip(adapters, features, strict=True)
        ]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {
            "adapter": keras.saving.serialize_keras_object(self.adapter)
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make the loss from what `get_config` returned."""
        adapter = config.get("adapter")
        if isinstance(adapter, (dict, list)):
            adapter = keras.saving.deserialize_keras_object(adapter)
        return cls(**(config | {"adapter": adapter}))


def fitting_adapter(
    teacher: Shape, student: Shape, name: str
) -> keras.Layer | None:
    """Return a layer that gives the student's features the teacher's channels.

    Where the teacher's map is half or twice as large along each axis, the
    layer changes the size too: a convolution of kernel 3 and stride 2, or a
    transposed one of kernel 4 and stride 2, as RepDistiller's. Otherwise a
    1x1 convolution, which leaves the size; `Dense` for vectors.

    Args:
        teacher: The teacher's shape without the batch axis, channels last.
        student: The student's, with as many axes.
        name: The layer's name.

    Returns:
        A linear layer, or `None` if the shapes are equal.
    """
    if fits(teacher, student):
        return None
    channels, axes = teacher[-1], len(teacher) - 1
    settings: dict[str, Any] = {"name": name, "dtype": "float32"}
    if not axes:
        return keras.layers.Dense(channels, **settings)
    sizes = list(zip(teacher[:-1], student[:-1], strict=True))
    kind, kernel, stride = "", 1, 1
    if all(t and s == 2 * t for t, s in sizes):
        kernel, stride = 3, 2
    elif all(s and t == 2 * s for t, s in sizes):
        kind, kernel, stride = "Transpose", 4, 2
    layer = getattr(keras.layers, f"Conv{axes}D{kind}")
    return layer(
        channels,
        kernel,
        stride,
        padding="same",
        data_format="channels_last",
        **settings,
    )


def fits(teacher: Shape, student: Shape) -> bool:
    """Tell whether two shapes are equal where both are known."""
    return len(teacher) == len(student) and all(
        t is None or s is None or t == s
        for t, s in zip(teacher, student, strict=True)
    )
