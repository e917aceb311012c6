"""The checked arguments of one export, made once and passed along."""

from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import replace
from functools import cached_property
from typing import Any

import keras

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import requirement
from keras_kd.core.taps import Tap
from keras_kd.export.signature import Signature
from keras_kd.export.signature import exportable
from keras_kd.export.signature import named_outputs
from keras_kd.export.signature import read_signature


@dataclass(frozen=True, eq=False)
class Context:
    """The student of an export, and what else goes into its file.

    Args:
        subject: Public function that the user called, such as
            `"export.tflite"`, for error messages.
        student: A built model.
        preprocess: The layers in front of the student, possibly none.
        input_dtype: `"uint8"` if the file takes bytes and the layers do not;
            None if the file takes what the layers take.
        labels: Names of the classes.
    """

    subject: str
    student: keras.Model
    preprocess: tuple[keras.Layer, ...] = ()
    input_dtype: str | None = None
    labels: tuple[str, ...] | None = None

    @cached_property
    def model(self) -> keras.Model:
        """The model in the file: the student with the layers in front of it."""
        if not self.preprocess and self.input_dtype is None:
            return self.student
        spec = read_signature(self.student, self.subject).specs[0]
        inputs = keras.Input(
            _raw_shape(self.preprocess, spec.shape),
            dtype=self.input_dtype or _raw_dtype(self.preprocess, spec.dtype),
            name=spec.key,
        )
        x: Any = inputs
        if inputs.dtype == "uint8" and spec.dtype != "uint8":
            x = keras.ops.cast(x, "float32")
        for layer in self.preprocess:
            if not _is_input(layer):
                x = layer(x)
        name = f"{self.student.name}_file"
        return keras.Model(inputs, self.student(x), name=name)

    @cached_property
    def output_kinds(self) -> dict[str, str | None]:
        """The kind of each output by its name in the file; None if unknown."""
        tap = Tap(
            self.student, subject=self.subject, role="student", strict=False
        )
        outputs = tap.spec.predictions
        kinds = named_outputs(keras.tree.pack_sequence_as(outputs, tap.kinds))
        return {name: kinds[name] for name in named_outputs(outputs)}

    @cached_property
    def signature(self) -> Signature:
        """The signature of `model`."""
        return read_signature(self.model, self.subject)

    def with_real_inputs(self) -> "Context":
        """Return the context for an integer file, with float32 inputs.

        The converter itself adds the conversion from bytes.
        """
        if self.model is self.student:
            return self
        return replace(self, input_dtype="float32")

    def refusal(
        self, argument: str, expected: str, received: Any, advice: str = ""
    ) -> ValueError:
        """Return the error for an argument of the call."""
        return ValueError(
            requirement(self.subject, argument, expected, received, advice)
        )


def read_context(
    subject: str,
    student: Any,
    *,
    preprocess: Any = None,
    input_dtype: str | None = None,
    labels: Iterable[str] | None = None,
) -> Context:
    """Check the arguments of an export and put them together.

    Args:
        subject: Public function that the user called, for error messages.
        student: A built model, or a Distiller, whose student is taken.
        preprocess: A layer, a list of layers, a model, or `None`.
        input_dtype: `"uint8"` or `None`.
        labels: Names of the classes.

    Raises:
        TypeError: If the student is not a Keras model, or `preprocess`
            contains anything but layers.
        ValueError: If the student is not built, the layers do not fit in
            front of it, or there is not one label per class.
    """
    student = exportable(student)
    inputs = read_signature(student, subject).specs
    check_choice(subject, "input_dtype", input_dtype, (None, "uint8"))
    layers = _layers(preprocess, subject)
    names = None if labels is None else tuple(map(str, labels))
    context = Context(subject, student, layers, input_dtype, names)
    if len(inputs) != 1 and (layers or input_dtype):
        raise context.refusal(
            "preprocess" if layers else "input_dtype",
            "None for a student of several inputs",
            preprocess if layers else input_dtype,
        )
    if _raw_dtype(layers, inputs[0].dtype) == "uint8":
        context = replace(context, input_dtype=None)  # takes bytes already
    _check_fits(context)
    _check_labels(context)
    return context


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


def _check_fits(context: Context) -> None:
    try:
        context.model  # noqa: B018 (put together on first use)
    except Exception as error:
        raise context.refusal(
            "preprocess",
            "layers that turn raw inputs into the student's",
            [layer.name for layer in context.preprocess],
            "Where raw inputs have another shape, begin the list with "
            f"`keras.Input(shape)`. Keras says: {str(error)[:300]}",
        ) from error


def _check_labels(context: Context) -> None:
    if context.labels is None:
        return
    outputs = getattr(context.student, "outputs", None) or []
    classes = outputs[0].shape[-1] if len(outputs) == 1 else None
    count = len(context.labels)
    # An output of one unit distinguishes two classes.
    if classes is not None and count not in (classes, 2 * (classes == 1)):
        expected = f"{classes} names, one a class"
        raise context.refusal("labels", expected, f"{count} names")


def _is_input(layer: Any) -> bool:
    return isinstance(layer, keras.KerasTensor | keras.layers.InputLayer)


def _first(preprocess: tuple[Any, ...]) -> Any:
    """Return the symbolic input that the layers begin with, if any."""
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
