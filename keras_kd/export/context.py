"""The checked arguments of one export, made once and passed along."""

from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from functools import cached_property
from typing import Any

import keras

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import requirement
from keras_kd.core.taps import Tap
from keras_kd.evaluation import runtimes
from keras_kd.export.byte_inputs import ByteGrid
from keras_kd.export.byte_inputs import byte_grid
from keras_kd.export.kinds import MIXED
from keras_kd.export.signature import InputSpec
from keras_kd.export.signature import Signature
from keras_kd.export.signature import exportable
from keras_kd.export.signature import named_outputs
from keras_kd.export.signature import read_signature
from keras_kd.quantization import has_float_ends
from keras_kd.quantization import is_quantize_aware

# What `output="probabilities"` puts behind an output, and what that gives.
_PROBABILITIES = {
    "logits": ("softmax", "probabilities"),
    "binary_logits": ("sigmoid", "binary_probabilities"),
}


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
        output: `"probabilities"` if the file turns logits into them; None if
            its outputs are the student's.
        output_dtype: `"uint8"` if an int8 file gives bytes; None for int8.
        runtimes: Where the file must pass; none for its usual runtime.
    """

    subject: str
    student: keras.Model
    preprocess: tuple[keras.Layer, ...] = ()
    input_dtype: str | None = None
    labels: tuple[str, ...] | None = None
    output: str | None = None
    output_dtype: str | None = None
    runtimes: tuple[str, ...] = ()

    @cached_property
    def model(self) -> keras.Model:
        """The model in the file: the student, and what is put around it."""
        if not self.is_changed_in_front and self.output is None:
            return self.student
        signature = read_signature(self.student, self.subject)
        inputs = {
            spec.name: keras.Input(
                _raw_shape(self.preprocess, spec.shape),
                dtype=self.input_dtype
                or _raw_dtype(self.preprocess, spec.dtype),
                name=spec.key,
            )
            for spec in signature.specs
        }
        prepared = inputs
        if self.is_changed_in_front:
            [spec] = signature.specs
            prepared = {spec.name: self._prepared(inputs[spec.name], spec)}
        outputs = self._finished(self.student(signature.build(prepared)))
        name = f"{self.student.name}_file"
        return keras.Model(signature.build(inputs), outputs, name=name)

    def _prepared(self, x: Any, spec: InputSpec) -> Any:
        """Apply the layers in front of the student to its input."""
        if x.dtype == "uint8" and spec.dtype != "uint8":
            x = keras.ops.cast(x, "float32")
        for layer in self.preprocess:
            if not _is_input(layer):
                x = layer(x)
        return x

    def _finished(self, outputs: Any) -> Any:
        """Turn the student's logits into probabilities, if that is asked."""
        if self.output is None:
            return outputs
        finished = []
        for i, tensor in enumerate(keras.tree.flatten(outputs)):
            function, name = _PROBABILITIES.get(
                str(self._tap.kinds[i]), (None, "")
            )
            # A fixed name: the same student gives the same file.
            layer = keras.layers.Activation(
                function, dtype="float32", name=f"{name}_{i}"
            )
            finished.append(layer(tensor) if function else tensor)
        return keras.tree.pack_sequence_as(outputs, finished)

    @cached_property
    def _tap(self) -> Tap:
        return Tap(
            self.student, subject=self.subject, role="student", strict=False
        )

    @cached_property
    def output_kinds(self) -> dict[str, str | None]:
        """The kind of each output by its name in the file; None if unknown."""
        kinds = list(self._tap.kinds)
        if self.output is not None:
            kinds = [_PROBABILITIES.get(str(k), ("", k))[1] for k in kinds]
        outputs = self._tap.spec.predictions
        named = named_outputs(keras.tree.pack_sequence_as(outputs, kinds))
        return {name: named[name] for name in named_outputs(outputs)}

    @cached_property
    def byte_grid(self) -> ByteGrid | None:
        """The grid of the bytes that enter an int8 student as they are.

        None if the file takes no bytes, if the student is not quantize-aware
        from its input on, or if the layers in front of it are more than one
        scale and one offset.
        """
        student = self.student
        if not self.is_changed_in_front:
            return None
        if not is_quantize_aware(student) or has_float_ends(student):
            return None
        own = read_signature(student, self.subject).specs
        file = self.signature.specs
        if file[0].dtype != "uint8" or "float" not in own[0].dtype:
            return None
        return byte_grid(self.preprocess, file[0].shape)

    @property
    def is_changed_in_front(self) -> bool:
        """Whether the file's inputs are not the student's own."""
        return bool(self.preprocess) or self.input_dtype is not None

    @property
    def has_float_front(self) -> bool:
        """Whether layers before an int8 student stay in float32."""
        is_int8 = is_quantize_aware(self.student) and not has_float_ends(
            self.student
        )
        return self.is_changed_in_front and is_int8 and self.byte_grid is None

    @cached_property
    def signature(self) -> Signature:
        """The signature of `model`."""
        return read_signature(self.model, self.subject)

    def made_kind(self, quantization: str) -> str:
        """Return the kind of file that a request leads to.

        Args:
            quantization: Requested kind.

        Returns:
            `quantization`; but `MIXED` instead of `"int8"` for a
            quantize-aware student of which a part stays in float32, or whose
            inputs are changed by layers that do.
        """
        mixed = has_float_ends(self.student) or self.has_float_front
        return MIXED if quantization == "int8" and mixed else quantization

    def with_real_inputs(self) -> "Context":
        """Return the context for an integer file, with float32 inputs.

        The converter itself adds the conversion from bytes, into which the
        layers in front of a quantize-aware student go.
        """
        if self.byte_grid is not None:
            return replace(self, preprocess=(), input_dtype=None)
        if self.input_dtype is None:
            return self
        return replace(self, input_dtype="float32")

    def check_installed(self) -> None:
        """Check that the runtimes are here, after all arguments.

        Raises:
            ImportError: If one is not; names the extra to install.
        """
        for name in self.runtimes:
            runtimes.get(name).check_installed()

    def refusal(
        self, argument: str, expected: str, received: Any, advice: str = ""
    ) -> ValueError:
        """Return the error for an argument of the call."""
        return ValueError(
            requirement(self.subject, argument, expected, received, advice)
        )


def read_context(  # noqa: PLR0913 (what goes into a file)
    subject: str,
    student: Any,
    *,
    preprocess: Any = None,
    input_dtype: str | None = None,
    labels: Iterable[str] | None = None,
    output: str | None = None,
    output_dtype: str | None = None,
    runtime: str | Sequence[str] | None = None,
) -> Context:
    """Check the arguments of an export and put them together.

    Args:
        subject: Public function that the user called, for error messages.
        student: A built model, or a Distiller, whose student is taken.
        preprocess: A layer, a list of layers, a model, or `None`.
        input_dtype: `"uint8"` or `None`.
        labels: Names of the classes.
        output: `"logits"`, `"probabilities"` or `None`.
        output_dtype: `"uint8"` or `None`.
        runtime: A name of `keras_kd.evaluation.runtimes`, several or `None`.

    Raises:
        TypeError: If the student is not a Keras model, or `preprocess`
            contains anything but layers.
        ValueError: If the student is not built, the layers do not fit in
            front of it, there is not one label per class, or the student has
            no outputs of the kind that is asked for.
    """
    student = exportable(student)
    inputs = read_signature(student, subject).specs
    check_choice(subject, "input_dtype", input_dtype, (None, "uint8"))
    check_choice(subject, "output_dtype", output_dtype, (None, "uint8"))
    check_choice(subject, "output", output, (None, "logits", "probabilities"))
    layers = _layers(preprocess, subject)
    chosen = (runtime,) if isinstance(runtime, str) else tuple(runtime or ())
    for name in chosen:
        check_choice(subject, "runtime", name, runtimes.NAMES)
    names = None if labels is None else tuple(map(str, labels))
    context = Context(
        subject,
        student,
        layers,
        input_dtype,
        names,
        None if output == "logits" else output,
        output_dtype,
        chosen,
    )
    if len(inputs) != 1 and (layers or input_dtype):
        raise context.refusal(
            "preprocess" if layers else "input_dtype",
            "None for a student of several inputs",
            preprocess if layers else input_dtype,
        )
    if _raw_dtype(layers, inputs[0].dtype) == "uint8":
        context = replace(context, input_dtype=None)  # takes bytes already
    if output is not None:
        _check_output(context, output)
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


def _check_output(context: Context, output: str) -> None:
    """Check that the outputs can be what is asked for.

    Raises:
        ValueError: If they cannot.
    """
    kinds = [kind for kind in context.output_kinds.values() if kind]
    if any(kind.endswith(output) for kind in kinds):
        return
    if output == "probabilities":
        expected = "None for a student whose outputs are no classes or labels"
        advice = (
            "Whether one linear unit is a logit, the loss says: compile the "
            "student with it."
        )
    else:
        expected = "None or 'probabilities' for a student that gives no logits"
        advice = "Export a student without the softmax or sigmoid at its end."
    raise context.refusal("output", expected, output, advice)


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
    if any("\n" in label for label in context.labels):
        expected = "names without line breaks"
        raise context.refusal("labels", expected, context.labels)
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
