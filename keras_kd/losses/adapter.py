"""The base class of the losses that may adapt the student's features."""

from typing import Any
from typing import Self

import keras

from keras_kd.losses.base import DistillationLoss


class AdaptedLoss(DistillationLoss):
    """Passes the student's features through a layer of its own, if given.

    Args:
        adapter: A Keras layer, trained and saved with the Distiller and no
            part of the student; `None` for none.
        **kwargs: Those of the next base class.
    """

    def __init__(
        self, *, adapter: keras.Layer | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.adapter = adapter

    def adapted(self, student: Any, training: bool) -> Any:
        """Return the student's features as the adapter gives them."""
        if self.adapter is None:
            return student
        return self.adapter(student, training=training)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        adapter = self.adapter
        return super().get_config() | {
            "adapter": adapter and keras.saving.serialize_keras_object(adapter)
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make the loss from what `get_config` returned."""
        adapter = config.get("adapter")
        if isinstance(adapter, dict):
            adapter = keras.saving.deserialize_keras_object(adapter)
        return cls(**(config | {"adapter": adapter}))
