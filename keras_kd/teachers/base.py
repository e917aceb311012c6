"""The interface through which a Distiller or a cache runs any teacher."""

from collections.abc import Iterable
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import keras

from keras_kd.core.frozen import Frozen
from keras_kd.core.input_choice import InputChoice
from keras_kd.core.input_choice import choose_input
from keras_kd.core.taps import Tapped


class BoundTeacher:
    """A teacher together with the layers and logits to read from it.

    It is not a Keras object on purpose: Keras saves and trains the objects
    that it tracks, and a teacher is neither saved nor trained.

    Attributes:
        model: The teacher that the user passed.
        models: The Keras models it runs.
        spec: Symbolic outputs of one call; `None` if only the data tells
            them.
        input: The part of x that the teacher takes; see
            `keras_kd.core.input_choice.choose_input`.
        subject: The class that uses the teacher, for error messages.
        kind_by_key: What each output is, by its name or index.
        reads_joined: Whether its outputs come with the data.
        on_host: Whether it runs outside the TensorFlow graph, which XLA
            forbids.
        error: The exception that it raised outside the graph.
        constant: Whether its weights are constants in graphs traced from now
            on. Only who traces such a graph anew when `frozen.changed()` may
            set it. Defaults to False.
    """

    model: Any = None
    models: tuple[keras.Model, ...] = ()
    spec: Tapped | None = None
    input: InputChoice = None
    subject = "Distiller"
    reads_joined = False
    kind_by_key: Mapping[Any, str | None] = {}
    on_host = False
    error: Exception | None = None
    constant = False

    @cached_property
    def frozen(self) -> Frozen:
        """`run` with the models' weights as constants."""
        return Frozen(self.run, self.models)

    def __call__(self, x: Any, joined: dict[str, Any] | None = None) -> Tapped:
        """Return the teacher's outputs, constant for the student.

        Args:
            x: A batch of inputs.
            joined: What `keras_kd.core.packed_inputs.unpack` returned.

        Raises:
            ValueError: If the data is already joined to a teacher's outputs.
        """
        if joined is not None and set(joined) & {"logits", "features"}:
            raise ValueError(
                "`Distiller` needs either a teacher that runs or data that a "
                "cache was joined to. Received: both, teacher="
                f"{self.model!r}. Set `distiller.teacher = cache` to "
                "learn from the cache, or train on the dataset itself."
            )
        chosen = choose_input(
            x, self.input, subject=self.subject, argument="teacher_input"
        )
        return self.frozen(chosen) if self.constant else self.run(chosen)

    def settle(self, like: Mapping[Any, str | None]) -> None:
        """Decide the kinds of outputs that the teacher itself leaves open.

        Args:
            like: Kind by the name or index of an output of the student.
        """

    def check(self, outputs: Iterable[Any] | None = None) -> None:
        """Check that the kinds of outputs are known.

        Args:
            outputs: Names or indices of the outputs; `None` for all.

        Raises:
            ValueError: If one is unknown.
        """

    def run(self, inputs: Any) -> Tapped:
        """Run the teacher once.

        Args:
            inputs: What the teacher takes.
        """
        raise NotImplementedError
