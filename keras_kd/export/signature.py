"""Names, shapes and types of the inputs and outputs of a student's files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from typing import Any

import keras

from keras_kd.core.checks import requirement


@dataclass(frozen=True)
class InputSpec:
    """One input: its name in files and its key in a dict of inputs."""

    name: str
    key: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class Signature:
    """A student's inputs, and the structure in which the student takes them.

    Args:
        specs: One `InputSpec` per input.
        form: `"one"`, `"list"` or `"dict"`.
    """

    specs: tuple[InputSpec, ...]
    form: str

    def build(self, values: Mapping[str, Any]) -> Any:
        """Arrange inputs, given by name, in the structure the student takes."""
        if self.form == "dict":
            return {spec.key: values[spec.name] for spec in self.specs}
        listed = [values[spec.name] for spec in self.specs]
        return listed if self.form == "list" else listed[0]

    def tensor_specs(self, batch_size: int | None) -> list[Any]:
        """Return the `input_signature` for Keras' export."""
        import tensorflow as tf

        specs = {
            spec.name: tf.TensorSpec(
                (batch_size, *spec.shape[1:]), spec.dtype, spec.name
            )
            for spec in self.specs
        }
        return [self.build(specs)]

    def in_float32(self) -> "Signature":
        """Return the signature with float32 for all floating-point inputs."""
        specs = [
            replace(spec, dtype="float32") if "float" in spec.dtype else spec
            for spec in self.specs
        ]
        return Signature(tuple(specs), self.form)


def exportable(student: Any) -> Any:
    """Return the student of a Distiller; return anything else unchanged."""
    inner = getattr(student, "student", None)
    is_distiller = hasattr(student, "teacher") and inner is not None
    return inner if is_distiller else student


def read_signature(student: Any, subject: str) -> Signature:
    """Read a student's inputs.

    Args:
        student: A built Keras model.
        subject: Public function that the user called, for error messages.

    Raises:
        TypeError: If `student` is not a Keras model.
        ValueError: If `student` is not built.
    """
    if not isinstance(student, keras.Model):
        expected = "a keras.Model"
        raise TypeError(requirement(subject, "student", expected, student))
    inputs = _inputs(student)
    if inputs is None:
        raise ValueError(
            requirement(
                subject,
                "student",
                "a built model",
                student,
                "Call it once on a batch, or give its layers a keras.Input.",
            )
        )
    form = "one"
    if isinstance(inputs, Mapping):
        form, items = "dict", list(inputs.items())
    elif isinstance(inputs, (list, tuple)):
        form, items = "list", [(None, value) for value in inputs]
    else:
        items = [(None, inputs)]
    if not all(isinstance(value, keras.KerasTensor) for _, value in items):
        expected = "a model with one input, a list or a dict of inputs"
        raise ValueError(requirement(subject, "student", expected, student))
    names = ["input"] if form == "one" else [f"input_{i}" for i in range(99)]
    specs = tuple(
        _spec(key, tensor, name)
        for (key, tensor), name in zip(items, names, strict=False)
    )
    return Signature(specs, form)


def named_outputs(outputs: Any) -> dict[str, Any]:
    """Return a student's outputs by their names in files."""
    if isinstance(outputs, Mapping):
        return dict(outputs)
    listed = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return {f"output_{i}": value for i, value in enumerate(listed)}


def _inputs(student: Any) -> Any:
    """Return symbolic inputs in the student's structure; None if unbuilt."""
    if not student.built:
        return None
    if isinstance(student, keras.Sequential):
        return student.inputs[0]
    if getattr(student, "inputs", None):
        return student.input
    shape = (student.get_build_config() or {}).get("input_shape")
    return None if shape is None else _tensors(shape, student.input_dtype)


def _tensors(shape: Any, dtype: str) -> Any:
    """Make symbolic inputs from the build shapes of a subclassed model."""
    if isinstance(shape, Mapping):
        return {key: _tensors(value, dtype) for key, value in shape.items()}
    if all(size is None or isinstance(size, int) for size in shape):
        return keras.KerasTensor((None, *shape[1:]), dtype)
    return [_tensors(value, dtype) for value in shape]


def _spec(key: str | None, tensor: Any, default: str) -> InputSpec:
    """Describe an input, named by its dict key, its own name or the default."""
    named = not tensor.name.startswith("keras_tensor")
    key = key or (tensor.name if named else default)
    # TensorFlow allows no other characters in the names of a signature.
    name = re.sub(r"[^A-Za-z0-9_]", "_", key)
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return InputSpec(name, key, (None, *tensor.shape[1:]), dtype)
