"""What goes into a file besides the student: preprocessing and labels."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import requirement
from keras_kd.export.signature import read_signature


@dataclass(frozen=True)
class Contents:
    """What goes into a file besides the student.

    Args:
        preprocess: The layers in front of the student; none if it is empty.
        input_dtype: `"uint8"`, or `None` for what the layers take.
        labels: Names of the classes.
    """

    preprocess: tuple[keras.Layer, ...] = ()
    input_dtype: str | None = None
    labels: tuple[str, ...] | None = None

    def front(
        self, student: keras.Model, *, real_inputs: bool = False
    ) -> keras.Model:
        """Return the student with its preprocessing in front.

        Args:
            student: A built model of one input, where there is anything to
                put in front of it.
            real_inputs: Whether the model takes float32 where the file takes
                `input_dtype`, for a converter that quantizes inputs itself.
        """
        if not self.preprocess and self.input_dtype is None:
            return student
        spec = read_signature(student, "export").specs[0]
        layers = [x for x in self.preprocess if not _is_input(x)]
        dtype = "float32" if real_inputs else self.input_dtype
        inputs = keras.Input(
            _raw_shape(self.preprocess, spec.shape),
            dtype=dtype or _raw_dtype(self.preprocess, spec.dtype),
            name=spec.key,
        )
        x: Any = inputs
        if inputs.dtype == "uint8" and spec.dtype != "uint8":
            x = keras.ops.cast(x, "float32")
        for layer in layers:
            x = layer(x)
        return keras.Model(inputs, student(x), name=f"{student.name}_file")


def read_contents(
    student: keras.Model,
    preprocess: Any,
    input_dtype: str | None,
    labels: Iterable[str] | None,
    subject: str,
) -> Contents:
    """Check what the user gave.

    Args:
        student: A built model.
        preprocess: A layer, a list of layers, a model, or `None`.
        input_dtype: `"uint8"` or `None`.
        labels: Names of the classes.
        subject: Who asks, for the error messages.

    Raises:
        TypeError: If `preprocess` is made of anything else than layers.
        ValueError: If the layers do not fit in front of the student, or the
            labels are not one a class.
    """
    check_choice(subject, "input_dtype", input_dtype, (None, "uint8"))
    layers = _layers(preprocess, subject)
    inputs = read_signature(student, subject).specs
    if len(inputs) != 1 and (layers or input_dtype):
        argument = "preprocess" if layers else "input_dtype"
        raise ValueError(
            requirement(
                subject,
                argument,
                "None for a student of several inputs",
                preprocess if layers else input_dtype,
            )
        )
    if _raw_dtype(layers, inputs[0].dtype) == "uint8":
        input_dtype = None  # it takes bytes as it is
    names = None if labels is None else tuple(map(str, labels))
    contents = Contents(layers, input_dtype, names)
    if layers or input_dtype:
        _check_fits(contents, student, subject)
    _check_labels(contents.labels, student, subject)
    return contents


def _layers(preprocess: Any, subject: str) -> tuple[keras.Layer, ...]:
    if preprocess is None:
        return ()
    listed = (
        preprocess if isinstance(preprocess, list | tuple) else [preprocess]
    )
    for layer in listed:
        if not isinstance(layer, keras.Layer) and not _is_input(layer):
            raise TypeError(
                requirement(
                    subject,
                    "preprocess",
                    "a Keras layer, a list of layers or a model",
                    layer,
                    "A function goes into a `keras.layers.Lambda`.",
                )
            )
    return tuple(listed)


def _check_fits(contents: Contents, student: keras.Model, subject: str) -> None:
    try:
        contents.front(student)
    except Exception as error:
        raise ValueError(
            requirement(
                subject,
                "preprocess",
                "layers that turn raw inputs into the student's",
                [layer.name for layer in contents.preprocess],
                "Where raw inputs have another shape, begin the list with "
                f"`keras.Input(shape)`. Keras says: {str(error)[:300]}",
            )
        ) from error


def _check_labels(
    labels: tuple[str, ...] | None, student: keras.Model, subject: str
) -> None:
    if labels is None:
        return
    outputs = student.outputs if getattr(student, "outputs", None) else []
    classes = outputs[0].shape[-1] if len(outputs) == 1 else None
    # One unit is two classes.
    if classes is not None and len(labels) not in (classes, 2 * (classes == 1)):
        raise ValueError(
            requirement(
                subject,
                "labels",
                f"{classes} names, one a class",
                f"{len(labels)} names",
            )
        )


def _is_input(layer: Any) -> bool:
    return isinstance(layer, keras.KerasTensor | keras.layers.InputLayer)


def _first(preprocess: tuple[Any, ...]) -> Any:
    """Return the symbolic input that the layers begin with, if one does."""
    if not preprocess:
        return None
    first = preprocess[0]
    if isinstance(first, keras.layers.InputLayer):
        return first.output
    if isinstance(first, keras.Model) and first.built:
        return first.inputs[0]
    return first if isinstance(first, keras.KerasTensor) else None


def _raw_shape(preprocess: tuple[Any, ...], default: Any) -> tuple[Any, ...]:
    first = _first(preprocess)
    return tuple(default if first is None else first.shape)[1:]


def _raw_dtype(preprocess: tuple[Any, ...], default: str) -> str:
    first = _first(preprocess)
    dtype = default if first is None else first.dtype
    return str(keras.backend.standardize_dtype(dtype))
