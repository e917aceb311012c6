"""Infers the task's loss from the student's head and the labels' shape."""

from typing import Any
from typing import NamedTuple

import keras
import tensorflow as tf

from keras_kd.core.checks import requirement
from keras_kd.core.output_kinds import is_classes
from keras_kd.core.packed_inputs import unpack
from keras_kd.distiller.compatibility import with_decisions

_SPARSE = keras.losses.SparseCategoricalCrossentropy
_DENSE = keras.losses.CategoricalCrossentropy
_OTHERS = {
    "numbers": keras.losses.MeanSquaredError,
    "embedding": keras.losses.CosineSimilarity,
}
_BINARY = keras.losses.BinaryCrossentropy


class StudentOutputs(NamedTuple):
    """The outputs of a student.

    Attributes:
        kinds: The kind of each output, as `keras_kd.core.heads` names it.
        shape: Shape of the first output, for one example.
        keys: Name or index of each output; `None` for a single one.
    """

    kinds: tuple[str | None, ...]
    shape: tuple[int | None, ...]
    keys: tuple[Any, ...] = (None,)

    @classmethod
    def of(cls, distiller: Any) -> "StudentOutputs":
        """Read the head of a Distiller's student."""
        tap = distiller.student_tap
        first = keras.tree.flatten(tap.spec.predictions)[0]
        return cls(tuple(tap.kinds), tuple(first.shape[1:]), tuple(tap.keys))


class Labels(NamedTuple):
    """The labels of a data set.

    Attributes:
        shape: Shape of one example's label; `None` if it is unknown.
        known: Whether there are labels.
    """

    shape: tuple[int | None, ...] | None = None
    known: bool = True


def first_parts(data: Any) -> tuple[Any, Any]:
    """Return x and y of a data set, or the specs of its batches.

    Args:
        data: A `tf.data.Dataset`, a `PyDataset`, or arrays `x`, `(x, y)`.
    """
    if isinstance(data, tf.data.Dataset):
        data = data.element_spec
    elif isinstance(data, keras.utils.PyDataset):
        data = data[0]
    if not isinstance(data, tuple):
        return data, None
    return data[0], data[1] if len(data) > 1 else None


def is_joined(data: Any) -> bool:
    """Tell whether the data is joined with a teacher's outputs."""
    return unpack(first_parts(data)[0])[1] is not None


def labels_of(data: Any) -> Labels:
    """Return what is known about the labels of a data set."""
    y = first_parts(data)[1]
    if y is None:
        return Labels(known=False)
    leaves = keras.tree.flatten(y)
    shape = getattr(leaves[0], "shape", None)
    if len(leaves) > 1 or shape is None:
        return Labels()
    if isinstance(shape, tf.TensorShape):
        if shape.rank is None:
            return Labels()
        shape = shape.as_list()
    return Labels(tuple(shape[1:]))


def task_loss(head: StudentOutputs, labels: Labels) -> Any:
    """Return the loss that matches the head and the labels.

    Args:
        head: The student's outputs.
        labels: The labels of the data.

    Raises:
        ValueError: If they do not determine a loss.
    """
    kind = head.kinds[0]
    if not labels.known:
        raise _undecided(
            "data without labels",
            "Give labels, or learn from the teacher alone: fix `alpha` with "
            '`hyperparameters.Fixed("alpha", 1.0)`.',
        )
    if len(head.kinds) > 1 or labels.shape is None:
        raise _undecided("several outputs, or labels of unknown shape")
    if kind is None:
        raise _undecided("a student whose head tells no logits")
    if not is_classes(kind):
        return _OTHERS[kind]()
    from_logits = kind.endswith("logits")
    if kind.startswith("binary"):
        if _strip(labels.shape) == _strip(head.shape):
            return _BINARY(from_logits=from_logits)
    elif _strip(labels.shape) == _strip(head.shape[:-1]):
        return _SPARSE(from_logits=from_logits)
    elif labels.shape == head.shape:
        return _DENSE(from_logits=from_logits)
    raise _undecided(
        f"labels of shape (batch, {_show(labels.shape)}) and outputs of shape "
        f"(batch, {_show(head.shape)})"
    )


def fitting_metrics(metrics: Any, head: StudentOutputs) -> Any:
    """Copy metrics for one trial; `"accuracy"` suits the outputs.

    A single metric is for each of several outputs.
    """

    def fresh(metric: Any) -> Any:
        if isinstance(metric, keras.metrics.Metric):
            config = keras.metrics.serialize(metric)
            return keras.metrics.deserialize(config)
        return metric

    if metrics is None:
        return None
    flat = keras.tree.flatten(metrics)
    if len(flat) == 1 < len(head.keys) and not isinstance(metrics, dict):
        each = {key: flat for key in head.keys}
        named = isinstance(head.keys[0], str)
        metrics = each if named else list(each.values())
    kinds = dict(zip(head.keys, head.kinds, strict=True))
    made = with_decisions(keras.tree.map_structure(fresh, metrics), kinds)
    return list(made) if isinstance(made, tuple) else made


def _strip(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """Drop a last axis of size 1, which labels may or may not have."""
    return shape[:-1] if shape and shape[-1] == 1 else shape


def _show(shape: tuple[int | None, ...]) -> str:
    return ", ".join(map(str, shape)) or "no axes"


def _undecided(received: str, advice: str = "") -> ValueError:
    return ValueError(
        requirement(
            "StudentTuner",
            "loss",
            "given where head and labels do not tell it",
            None,
            f"There are {received}. "
            + (advice or "Give `loss=`, as `compile` takes it."),
        )
    )
