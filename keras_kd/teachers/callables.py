"""A Python function as a teacher, called from within the training step."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_integer
from keras_kd.core.checks import nearest
from keras_kd.core.checks import requirement
from keras_kd.core.checks import show
from keras_kd.core.heads import class_logits
from keras_kd.core.input_choice import InputChoice
from keras_kd.core.input_choice import check_input_choice
from keras_kd.core.input_choice import choose_input
from keras_kd.core.output_kinds import KINDS
from keras_kd.core.output_kinds import check_probabilities
from keras_kd.core.output_kinds import is_classes
from keras_kd.core.taps import Tapped
from keras_kd.teachers.base import BoundTeacher


class HostTeacher:
    """A teacher that is a Python function: any model of any library.

    Use it for a PyTorch module, a `.tflite` file, a SavedModel or a remote
    service. Each step leaves the TensorFlow graph to call the function, so
    it runs on the host and not under XLA (`jit_compile=True`). A
    `TeacherCache` built from the same function calls it once per example and
    has neither limit.

    Args:
        function: Takes a NumPy batch (a dict or list if x is one) and
            returns `(batch, num_classes)`: anything `numpy.asarray` takes.
            With `features` it returns a dict: its outputs as `"logits"`,
            and each feature by its name. Under a mirrored strategy several
            threads may call it.
        num_classes: Number of classes, at least 2, or of numbers; or the
            full shape of one example's outputs, `(positions, classes)`.
        output: What the function returns: `"logits"`, `"probabilities"`,
            `"binary_logits"` or `"binary_probabilities"` of the second of
            two classes, `(batch, 1)`, `"numbers"` or `"embedding"`. It is
            never guessed from the values.
        input: The part of x that the function takes: a function of the NumPy
            x, or a key of a dict x. Defaults to all of x.
        features: The shape of one example of each feature that losses may
            read, by its name as a `teacher_layer`: `{"block_3": (7, 7, 64)}`.
            Defaults to none.

    Shapes:
        The result of a call is class logits `(batch, num_classes)`, float32;
        probabilities become log-probabilities.

    Raises:
        TypeError: If `function` cannot be called.
        ValueError: If `num_classes` is below 2 or `output` is unknown; in a
            call, if the function returns another shape, or what cannot be
            the probabilities that `output` says.

    Example:
    >>> import numpy as np
    >>> import keras_kd
    >>> teacher = keras_kd.teachers.HostTeacher(
    ...     lambda x: x @ np.eye(4, 3), num_classes=3, output="logits")
    >>> print(teacher(np.ones((5, 4))).sum())
    15.0
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        num_classes: int | tuple[int, ...],
        *,
        output: str,
        input: InputChoice = None,
        features: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        if not callable(function):
            raise TypeError(
                requirement("HostTeacher", "function", "callable", function)
            )
        self.function = function
        self.output = check_choice("HostTeacher", "output", output, KINDS)
        self.input = check_input_choice(
            input, subject="HostTeacher", argument="input"
        )
        shape = (
            num_classes if isinstance(num_classes, tuple) else (num_classes,)
        )
        for size in shape[:-1]:
            check_integer("HostTeacher", "num_classes", size, low=1)
        least = 2 if is_classes(output) else 1
        check_integer("HostTeacher", "num_classes", shape[-1], low=least)
        self.shape = shape
        self.features = dict(features or {})
        for name, sizes in self.features.items():
            for size in sizes:
                check_integer("HostTeacher", f"features[{name!r}]", size, low=1)
        self._binary = output.startswith("binary")
        if self._binary and shape[-1] != 2:
            raise ValueError(
                requirement(
                    "HostTeacher",
                    "num_classes",
                    f"2 when `output` is {output!r}",
                    num_classes,
                )
            )

    @property
    def output_kind(self) -> str:
        """What a call returns: logits, or numbers or an embedding."""
        return "logits" if is_classes(self.output) else self.output

    def __call__(self, inputs: Any) -> np.ndarray:
        """Return the class logits of a batch, as NumPy.

        Args:
            inputs: A batch, as the data set yields it.
        """
        (raw,) = self.run(keras.tree.map_structure(np.asarray, inputs))
        return np.asarray(class_logits(raw, self.output))

    def bind(
        self,
        layers: Iterable[str] = (),
        output_kind: Any = None,
        *,
        logits: bool = True,
    ) -> BoundTeacher:
        """Return the `BoundTeacher` that a Distiller holds.

        Args:
            layers: Names of features.
            output_kind: Must be `None` or equal to `output`.
            logits: Ignored; a function returns only logits.

        Raises:
            ValueError: If a layer is none of `features`, or `output_kind`
                is anything else.
        """
        del logits
        layers = list(layers)
        for layer in layers:
            if layer not in self.features:
                raise ValueError(
                    requirement(
                        "Distiller",
                        "teacher_layer",
                        "a feature of the HostTeacher, one of "
                        f"{show(list(self.features))}",
                        layer,
                        f"{nearest(layer, self.features)} Give its shape to "
                        f"the teacher: `features={{{layer!r}: (7, 7, 64)}}`.",
                    ).replace(".  ", ". ")
                )
        if output_kind not in (None, self.output):
            raise ValueError(
                requirement(
                    "Distiller",
                    "teacher_output",
                    f"None or {self.output!r}, as the HostTeacher was told",
                    output_kind,
                )
            )
        return _BoundHost(self, layers)

    def run(self, inputs: Any, layers: Iterable[str] = ()) -> list[np.ndarray]:
        """Call the function on NumPy inputs and check its outputs.

        Args:
            inputs: NumPy arrays in the structure of x.
            layers: Names of the features to return.

        Returns:
            The function's outputs and each feature, float32.

        Raises:
            ValueError: If one is missing, its shape is not the one that the
                teacher was told, or it cannot be probabilities.
        """
        size = len(keras.tree.flatten(inputs)[0])
        chosen = choose_input(
            inputs, self.input, subject="HostTeacher", argument="input"
        )
        outputs = self.function(chosen)
        named = named_outputs("HostTeacher", outputs, layers)
        raw, *features = (np.asarray(v, "float32") for v in named.values())
        if self._binary and raw.shape == (size, *self.shape[:-1]):
            raw = raw[..., None]
        shapes = [self.raw_shape, *(self.features[name] for name in layers)]
        for name, array, shape in zip(
            named, (raw, *features), shapes, strict=True
        ):
            expected = (size, *shape)
            if array.shape != expected:
                what = "an array" if name == "logits" else repr(name)
                raise ValueError(
                    f"`HostTeacher` needs `function` to return {what} of shape "
                    f"{expected} for a batch of {size}. Received: shape "
                    f"{array.shape}."
                )
        check_probabilities(
            raw, self.output, subject="HostTeacher", argument="output"
        )
        return [raw, *features]

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """Shape of the function's output for one example."""
        return (*self.shape[:-1], 1) if self._binary else self.shape


class _BoundHost(BoundTeacher):
    """Calls a `HostTeacher` from the TensorFlow graph."""

    on_host = True

    def __init__(self, teacher: HostTeacher, layers: list[str]) -> None:
        self.model = teacher
        self.layers = layers
        # The function's exception; TensorFlow passes on only its text.
        self.error: Exception | None = None
        logits = keras.KerasTensor((None, *teacher.shape), "float32")
        features = {
            name: keras.KerasTensor((None, *teacher.features[name]), "float32")
            for name in layers
        }
        self.spec = Tapped(logits, logits, features)
        self.kind_by_key = {None: teacher.output}

    def run(self, inputs: Any) -> Tapped:
        """Call the function once for the batch."""

        def call_back(*leaves: Any) -> list[np.ndarray]:
            try:
                return self.model.run(
                    keras.tree.pack_sequence_as(inputs, leaves), self.layers
                )
            except Exception as error:
                self.error = error
                raise

        leaves = [
            tf.convert_to_tensor(leaf) for leaf in keras.tree.flatten(inputs)
        ]
        shapes = [self.model.raw_shape]
        shapes += [self.model.features[name] for name in self.layers]
        found = tf.numpy_function(call_back, leaves, ["float32"] * len(shapes))
        raw, *features = (
            tf.ensure_shape(array, (leaves[0].shape[0], *shape))
            for array, shape in zip(
                keras.tree.flatten(found), shapes, strict=True
            )
        )
        logits = class_logits(raw, self.model.output)
        named = dict(zip(self.layers, features, strict=True))
        return Tapped(logits, logits, named)


def named_outputs(
    subject: str, outputs: Any, layers: Iterable[str]
) -> dict[str, Any]:
    """Return what a function gave: its logits and the features to read.

    Args:
        subject: Class or function to name in error messages.
        outputs: Logits, or a dict of `"logits"` and features by name.
        layers: Names of the features.

    Raises:
        ValueError: If one is missing.
    """
    layers = list(layers)
    if not (layers or isinstance(outputs, Mapping)):
        return {"logits": outputs}
    given = outputs if isinstance(outputs, Mapping) else {}
    for name in ("logits", *layers):
        if name not in given:
            received = (
                f"a dict of {show(list(given))}"
                if isinstance(outputs, Mapping)
                else f"a {type(outputs).__name__}"
            )
            raise ValueError(
                f"`{subject}` needs the teacher's function to return a dict "
                f"with {name!r}. Received: {received}. "
                f"{nearest(name, given)}".rstrip()
            )
    return {name: given[name] for name in ("logits", *layers)}
