"""Runs a teacher of any kind on a batch: arrays in, arrays out."""

from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import requirement
from keras_kd.core.heads import class_logits
from keras_kd.core.input_choice import check_input_choice
from keras_kd.core.input_choice import check_inputs
from keras_kd.core.input_choice import choose_input
from keras_kd.core.output_kinds import KINDS
from keras_kd.core.output_kinds import check_probabilities
from keras_kd.core.taps import Tapped
from keras_kd.core.taps import input_spec
from keras_kd.teachers.bind import bind
from keras_kd.teachers.callables import named_outputs

Run = Callable[[Any], dict[str, Any]]
_SUBJECT = "TeacherCache.build"


def make(
    teacher: Any,
    layers: Iterable[str] = (),
    teacher_output: Any = None,
    teacher_input: Any = None,
) -> tuple[Run, list[str | None]]:
    """Return what runs a teacher on a batch, and the kinds of its outputs.

    Args:
        teacher: A Keras model, an ensemble, or any callable from a batch to
            outputs.
        layers: Layers of a Keras model to read besides its logits, or
            features that a callable returns in a dict besides `"logits"`.
        teacher_output: The kind of the outputs; required for a callable.
        teacher_input: Applied to the batch first: a function, or a key.

    Returns:
        A function from a batch of NumPy inputs to NumPy outputs, and what
        each output is, in the order of the leaves.

    Raises:
        TypeError: If `teacher` or `teacher_input` has the wrong type.
        ValueError: If it is unknown whether the outputs are logits or
            probabilities, or if a layer is unknown.
    """
    plain = callable(teacher) and not (
        isinstance(teacher, keras.Model) or hasattr(teacher, "bind")
    )
    if not plain:
        bound = bind(
            teacher,
            layers,
            teacher_output,
            input=teacher_input,
            subject=_SUBJECT,
        )
        bound.constant = True
        return _graph_runner(bound), list(bound.kind_by_key.values())
    check_input_choice(
        teacher_input, subject=_SUBJECT, argument="teacher_input"
    )

    def select(x: Any) -> Any:
        return choose_input(
            x, teacher_input, subject=_SUBJECT, argument="teacher_input"
        )

    run = _callable_runner(teacher, tuple(layers), teacher_output, select)
    return run, list(keras.tree.flatten(teacher_output))


def missing_axes(teacher: Any, teacher_input: Any, x_spec: Any) -> int:
    """Return how many axes the teacher's input has more than the data.

    Returns:
        1 for unbatched data; 0 also if the teacher is not a Keras model or
        `teacher_input` is a function, as then its input is unknown.
    """
    models = getattr(teacher, "models", None) or [teacher]
    if not isinstance(models[0], keras.Model) or callable(teacher_input):
        return 0
    spec = input_spec(models[0], subject=_SUBJECT, role="teacher")
    seen = choose_input(
        x_spec, teacher_input, subject=_SUBJECT, argument="teacher_input"
    )
    check_inputs(
        models[0],
        seen,
        subject=_SUBJECT,
        role="teacher",
        argument="teacher_input",
    )
    ranks = [
        len(keras.tree.flatten(structure)[0].shape)
        for structure in (spec, seen)
    ]
    return ranks[0] - ranks[1]


def _graph_runner(tapped: Callable[[Any], Tapped]) -> Run:
    @tf.function(reduce_retracing=True)
    def forward(x: Any) -> dict[str, Any]:
        found = tapped(x)
        outputs = {"logits": found.logits}
        if found.features:
            outputs["features"] = {
                path: tf.cast(value, tf.float32)
                for path, value in found.features.items()
            }
        return outputs

    traced: list[Any] = []

    def run(x: Any) -> dict[str, Any]:
        tensors = keras.tree.map_structure(tf.convert_to_tensor, x)
        if not traced:  # One trace for every batch size.
            traced.append(
                forward.get_concrete_function(
                    keras.tree.map_structure(_any_batch, tensors)
                )
            )
        return keras.tree.map_structure(
            lambda leaf: leaf.numpy(), forward(tensors)
        )

    return run


def _any_batch(tensor: tf.Tensor) -> tf.TensorSpec:
    return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)


def _callable_runner(
    teacher: Callable[[Any], Any],
    layers: tuple[str, ...],
    output_kind: Any,
    select: Callable[[Any], Any],
) -> Run:
    kinds = keras.tree.flatten(output_kind)
    if output_kind is None:
        raise ValueError(
            requirement(
                _SUBJECT,
                "teacher_output",
                "'logits' or 'probabilities' for a teacher that is not a "
                "Keras model",
                None,
            )
        )
    for kind in kinds:
        check_choice(_SUBJECT, "teacher_output", kind, KINDS)

    def run(x: Any) -> dict[str, Any]:
        outputs = teacher(select(x))
        features = {}
        if layers:
            features = named_outputs(_SUBJECT, outputs, layers)
            outputs = features.pop("logits")
        leaves = keras.tree.flatten(outputs)
        given = kinds * len(leaves) if len(kinds) == 1 else kinds
        if len(given) != len(leaves):
            raise ValueError(
                requirement(
                    _SUBJECT,
                    "teacher_output",
                    f"one kind, or one for each of {len(leaves)} outputs",
                    output_kind,
                )
            )
        logits = [
            _logits(leaf, kind)
            for leaf, kind in zip(leaves, given, strict=True)
        ]
        found = {"logits": keras.tree.pack_sequence_as(outputs, logits)}
        if features:
            found["features"] = {
                name: _array(feature).astype(np.float32, copy=False)
                for name, feature in features.items()
            }
        return found

    return run


def _logits(leaf: Any, kind: str) -> np.ndarray:
    values = _array(leaf)
    if kind == "logits":
        return values.astype(np.float32, copy=False)
    check_probabilities(
        values, kind, subject=_SUBJECT, argument="teacher_output"
    )
    return keras.ops.convert_to_numpy(class_logits(values, kind))


def _array(leaf: Any) -> np.ndarray:
    if hasattr(leaf, "detach"):  # a PyTorch tensor, on any device
        leaf = leaf.detach().cpu()
    return np.asarray(leaf)
