"""What the data is made to fit: a teacher, or any model or file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_kd.core.checks import requirement
from keras_kd.core.model_files import open_model
from keras_kd.core.output_kinds import is_classes
from keras_kd.core.taps import Tap
from keras_kd.core.taps import input_spec
from keras_kd.data.own_range import own_range


@dataclass(frozen=True)
class Taker:
    """What `load` has to know of a model that is to take the data.

    `load` makes one of a Keras model. Make one yourself for a file or a
    service.

    Attributes:
        name: Its name, for messages.
        logits: From a batch to class logits, `(batch, classes)`; `None` if
            its outputs are no classes.
        shape: Shape of an example that it takes; `None` if unknown.
        dtype: Type of the values that it takes.
        num_classes: Number of its classes; `None` if unknown.
        range: Name of the range of the pixels that it takes, if it is known.

    Example:
    >>> import numpy as np
    >>> import keras_kd
    >>> taker = keras_kd.data.Taker(
    ...     "coin", lambda x: np.zeros((len(x), 2)), num_classes=2)
    >>> taker.logits(np.zeros((3, 8))).shape
    (3, 2)
    """

    name: str
    logits: Callable[[Any], np.ndarray] | None = None
    shape: tuple[int | None, ...] | None = None
    dtype: str = "float32"
    num_classes: int | None = None
    range: str | None = None


def taker_of(teacher: Any) -> Taker | None:
    """Return what to know of a teacher.

    Args:
        teacher: A `keras.Model`, the path of one, a `Taker`, a function from
            a batch to logits, or `None`.
    """
    if teacher is None or isinstance(teacher, Taker):
        return teacher
    if isinstance(teacher, (str, Path)):
        teacher = open_model(Path(teacher))
    if isinstance(teacher, keras.Model):
        return _of_model(teacher)
    if callable(teacher):
        name = getattr(teacher, "name", type(teacher).__name__)
        return Taker(str(name), lambda x: np.asarray(teacher(x)))
    raise TypeError(
        requirement(
            "load",
            "teacher",
            "a keras.Model, its path, a `Taker`, a function or None",
            teacher,
        )
    )


def _of_model(model: keras.Model) -> Taker:
    inputs = input_spec(model, subject="load", role="teacher")
    if not hasattr(inputs, "shape"):
        inputs = keras.tree.flatten(inputs)
        if len(inputs) != 1:
            return Taker(model.name)
        inputs = inputs[0]
    tap = Tap(model, subject="load", role="teacher", strict=False)
    outputs = keras.tree.flatten(tap.spec.predictions)
    known = len(outputs) == 1 and is_classes(tap.kinds[0])
    units = outputs[0].shape[-1] if len(outputs[0].shape) == 2 else None
    classes = max(units, 2) if known and units else None
    if tap.kinds[0] and "binary" in tap.kinds[0] and units and units > 1:
        classes = None  # a label for each unit

    def logits(x: Any) -> np.ndarray:
        return np.asarray(tap(x).logits)

    return Taker(
        name=model.name,
        logits=logits if classes else None,
        shape=tuple(inputs.shape[1:]),
        dtype=inputs.dtype,
        num_classes=classes,
        range=own_range(model),
    )
