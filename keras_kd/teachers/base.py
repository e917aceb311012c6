"""What a Distiller asks its teacher for, whatever the teacher is."""

from typing import Any

import keras

from keras_kd.core.taps import Tapped


class BoundTeacher:
    """A teacher together with the layers and logits that are read of it.

    Not a Keras object on purpose: Keras saves and trains what it can see,
    and a teacher is neither saved nor trained.

    Attributes:
        model: What the user passed.
        models: The Keras models it runs.
        spec: Symbolic outputs of one call; `None` when only the data tells.
        reads_joined: Whether its outputs come with the data.
        on_host: Whether it leaves the TensorFlow graph, which XLA forbids.
        error: What stopped it outside of the graph.
    """

    model: Any = None
    models: tuple[keras.Model, ...] = ()
    spec: Tapped | None = None
    reads_joined = False
    on_host = False
    error: Exception | None = None

    def __call__(
        self, inputs: Any, joined: dict[str, Any] | None = None
    ) -> Tapped:
        """Return the teacher's outputs, constant for the student.

        Args:
            inputs: What the teacher takes.
            joined: What `keras_kd.core.joined.unpack` gave.
        """
        raise NotImplementedError
