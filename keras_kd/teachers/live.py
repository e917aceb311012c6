"""A Keras model as a teacher that runs in every step."""

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import keras

from keras_kd.core.checks import requirement
from keras_kd.core.taps import Tap
from keras_kd.core.taps import Tapped
from keras_kd.teachers.base import BoundTeacher

KINDS_OF_TEACHER = (
    "a keras.Model, a keras_kd.teachers.Ensemble or HostTeacher, a "
    "keras_kd.TeacherCache, or None"
)


class LiveTeacher(BoundTeacher):
    """Runs a model in inference mode; its outputs are constants.

    The model's weights, flags and statistics do not change.

    Args:
        model: A built Keras model.
        layers: Names or paths of the layers to read.
        output_kind: The kind of the outputs, if the layers do not tell; see
            `keras_kd.core.taps.Tap`.
        logits: Whether to return logits.
        subject: Class or function to name in error messages.
        strict: Whether to refuse an output of unknown kind at once.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is not built, or for the reasons listed in `Tap`.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> import keras_kd
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    >>> teacher = keras_kd.teachers.LiveTeacher(model)
    >>> teacher(np.zeros((2, 3), "float32")).logits.shape[-1]
    4
    """

    def __init__(
        self,
        model: keras.Model,
        layers: Iterable[str] = (),
        output_kind: Any = None,
        *,
        logits: bool = True,
        subject: str = "Distiller",
        strict: bool = True,
    ) -> None:
        if not isinstance(model, keras.Model):
            raise TypeError(
                requirement(
                    subject,
                    "teacher",
                    KINDS_OF_TEACHER,
                    model,
                    _advice(model),
                )
            )
        self.model = model
        self.models = (model,)
        self._logits = logits
        self._tap = Tap(
            model,
            layers,
            output_kind,
            logits=logits,
            subject=subject,
            role="teacher",
            strict=strict,
        )

    @property
    def spec(self) -> Tapped:  # type: ignore[override]
        """Symbolic outputs of one call."""
        return self._tap.spec

    @property
    def kind_by_key(self) -> Mapping[Any, str | None]:  # type: ignore[override]
        """What each output is, by its name or index."""
        return self._tap.kind_by_key

    def settle(self, like: Mapping[Any, str | None]) -> None:
        """Decide the kinds of outputs that the model leaves open."""
        self._tap.settle(like=like)

    def check(self, outputs: Iterable[Any] | None = None) -> None:
        """Check that the kinds of outputs are known."""
        if self._logits:
            self._tap.check(outputs)

    def run(self, inputs: Any) -> Tapped:
        """Run the teacher with `training=False` and stop the gradient."""
        tapped = self._tap(inputs, training=False)
        return keras.tree.map_structure(
            lambda leaf: (
                None if leaf is None else keras.ops.stop_gradient(leaf)
            ),
            tapped,
        )


def _advice(value: Any) -> str:
    if isinstance(value, str):
        return "Load a file with `keras_kd.teachers.load(path)`."
    if isinstance(value, (list, tuple)):
        return "Put several into `keras_kd.teachers.Ensemble([...])`."
    if callable(value):
        return (
            "Wrap a function with `keras_kd.teachers.HostTeacher(function, "
            "num_classes=..., output=...)`."
        )
    return ""
