"""The description of a model that a Distiller gives to its losses."""

from dataclasses import dataclass
from typing import Any

import keras

from keras_kd.core.checks import show
from keras_kd.core.layer_paths import find_layer
from keras_kd.core.taps import Tapped


@dataclass(frozen=True)
class Bound:
    """The teacher or the student, with its symbolic outputs.

    Attributes:
        role: `"teacher"` or `"student"`.
        given: The object that the user gave: a model, an ensemble, a cache.
        spec: Symbolic outputs of one call.
        num_examples: Number of examples in a cache; `None` otherwise.
    """

    role: str
    given: Any
    spec: Tapped
    num_examples: int | None = None

    def model(self, subject: str, purpose: str) -> keras.Model:
        """Return the Keras model itself.

        Args:
            subject: The loss that needs the model, for the error.
            purpose: What the loss needs it for, such as `"its classifier"`.

        Raises:
            ValueError: If the teacher or student is not a Keras model.
        """
        if isinstance(self.given, keras.Model):
            return self.given
        raise ValueError(
            f"`{subject}` needs a keras.Model as the {self.role}, for "
            f"{purpose}. Received: {self.role}={show(self.given)}, which does "
            "not hold it. Give the model itself, or choose another loss."
        )

    def layer(self, path: str, subject: str, purpose: str) -> keras.Layer:
        """Return a layer of the model.

        Args:
            path: The layer's name or path.
            subject: The loss that needs the layer, for the error.
            purpose: What the loss needs it for.

        Raises:
            ValueError: If there is no model, or no such layer in it.
        """
        return find_layer(
            self.model(subject, purpose),
            path,
            subject=subject,
            argument=f"{self.role}_layer",
        )
