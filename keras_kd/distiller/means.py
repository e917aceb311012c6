"""Means over a batch, with masks and weights, in `keras.ops`.

Losses return one unweighted value per example and position. They are masked,
weighted and averaged only here, so that sample weights, padding, mixed
precision and any number of replicas work together correctly.
"""

from typing import Any
from typing import NamedTuple

import keras
from keras import ops


class Mean(NamedTuple):
    """A weighted mean over this replica's part of the batch.

    Attributes:
        value: `sum(weight * value) / count`, as Keras' losses reduce.
        count: Number of examples, or of unmasked positions, in the mean.
    """

    value: Any
    count: Any


def weighted_mean(
    values: Any, mask: Any = None, sample_weight: Any = None
) -> Mean:
    """Average per-example or per-position values.

    Args:
        values: `(batch,)` or `(batch, ...)`.
        mask: `None`, or booleans over the leading axes of `values`. Where
            they are False, a value counts neither in the sum nor in the
            count.
        sample_weight: `None`, `(batch,)`, `(batch, 1)` or over the leading
            axes of `values`.

    Returns:
        The mean and the count, in the dtype of `values`.
    """
    rank = len(values.shape)
    count = ops.cast(ops.size(values), values.dtype)
    if mask is not None and len(mask.shape) <= rank:
        kept = ops.broadcast_to(
            lift(ops.cast(mask, "bool"), rank), ops.shape(values)
        )
        values = ops.where(kept, values, 0.0)
        count = ops.sum(ops.cast(kept, values.dtype))
    if sample_weight is not None:
        weight = ops.cast(sample_weight, values.dtype)
        while len(weight.shape) > rank and weight.shape[-1] == 1:
            weight = ops.squeeze(weight, -1)
        values = values * lift(weight, rank)
    return Mean(ops.divide_no_nan(ops.sum(values), count), count)


def agreement(teacher_logits: Any, student_logits: Any, mask: Any) -> Mean:
    """Return the share of examples on which both models agree."""
    same = ops.equal(
        ops.argmax(teacher_logits, axis=-1), ops.argmax(student_logits, axis=-1)
    )
    return weighted_mean(ops.cast(same, "float32"), mask)


def lift(tensor: Any, rank: int) -> Any:
    """Append axes until the tensor has at least `rank` axes."""
    for _ in range(rank - len(tensor.shape)):
        tensor = ops.expand_dims(tensor, -1)
    return tensor


def weights_of(sample_weight: Any, key: Any) -> Any:
    """Return the sample weights of one output, or of features.

    Features belong to no output. If each output has its own weights, an
    example's weight for features is their mean.

    Args:
        sample_weight: `None`, weights, or a structure of weights.
        key: Name or index of the output, `None` for features and for a
            single output.

    Returns:
        `None`, or weights for `weighted_mean`.
    """
    if key is not None or not keras.tree.is_nested(sample_weight):
        return select(sample_weight, key)
    given = [w for w in keras.tree.flatten(sample_weight) if w is not None]
    if not given:
        return None
    weights = [ops.cast(weight, "float32") for weight in given]
    return ops.mean(
        ops.stack(
            [ops.mean(w, axis=tuple(range(1, len(w.shape)))) for w in weights]
        ),
        axis=0,
    )


def select(structure: Any, key: Any) -> Any:
    """Return one output's labels or weights, or the whole structure."""
    if key is None or not keras.tree.is_nested(structure):
        return structure
    if isinstance(structure, dict):
        return structure.get(key)
    return structure[key]
