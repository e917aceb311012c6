"""Layers that bring the student's features to the shape of the teacher's."""

from typing import Any
from typing import Self

import keras

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

    def adapted(self, student: Any, training: bool, place: int = 0) -> Any:
        """Return the student's features as the adapter gives them.

        Args:
            student: The features of one layer.
            training: Whether the adapter runs in training mode.
            place: Which of several layers it is, from 0.
        """
        if self.adapter is None:
            return student
        several = isinstance(self.adapter, (list, tuple))
        adapter = self.adapter[place] if several else self.adapter
        return adapter(student, training=training)

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
    known = all(None not in pair for pair in sizes)
    kind, kernel, stride = "", 1, 1
    if known and all(s == 2 * t for t, s in sizes):
        kernel, stride = 3, 2
    elif known and all(t == 2 * s for t, s in sizes):
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
