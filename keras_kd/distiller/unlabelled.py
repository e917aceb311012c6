"""Batches in which some examples have no label.

An example without a label has -1 instead of a class number for a
cross-entropy, or NaN in float labels. It counts only in the distillation part:
the task loss and the compiled metrics are means over the labelled examples.
"""

from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from keras_kd.core.keras_internals import mask_of
from keras_kd.core.output_kinds import kind_of_loss
from keras_kd.core.replicas import all_sum
from keras_kd.core.replicas import num_replicas
from keras_kd.distiller.means import lift
from keras_kd.distiller.means import select


class Rule(NamedTuple):
    """How the loss of one output interprets its labels.

    Attributes:
        minus_one: Whether -1 means no label in float labels, and whether it
            does in integer labels.
        ignored: A class number that the loss ignores, or `None`.
        averages: Whether the loss is a mean over the batch.
        each: Whether the loss is a mean over units that have labels of their
            own: several true-or-false labels, or several numbers.
    """

    minus_one: tuple[bool, bool] = (False, True)
    ignored: int | None = None
    averages: bool = True
    each: bool = False


class Labelled(NamedTuple):
    """A batch's labels and weights for the compiled loss.

    Attributes:
        y: The labels, with a valid label in place of each missing one.
        predictions: The student's outputs; those whose units have labels of
            their own have one more axis, as their labels have.
        sample_weight: The weights, which are 0 for a missing label and
            scaled so that Keras' mean over the batch is the mean over the
            labelled examples.
        count: Number of labelled examples, positions or units.
        total: Number of all examples, positions or units.
    """

    y: Any
    predictions: Any
    sample_weight: Any
    count: Any
    total: Any


class _Part(NamedTuple):
    """The labels of one output."""

    key: Any
    y: Any
    prediction: Any
    rule: Rule


def rule_of(loss: Any) -> Rule:
    """Return how a loss interprets its labels; `loss` may be `None`.

    -1 means no label only for a cross-entropy: for a hinge loss it is a
    class, and for a regression a value.
    """
    if loss is None:
        return Rule()
    if loss in ("crossentropy", "ce"):
        return Rule((True, True))
    loss = keras.losses.get(loss)
    name = getattr(loss, "__name__", type(loss).__name__).lower()
    takes_classes = "crossentropy" in name
    reduction = getattr(loss, "reduction", "sum_over_batch_size")
    return Rule(
        (takes_classes, takes_classes),
        getattr(loss, "ignore_class", None),
        reduction in ("sum_over_batch_size", "mean"),
        kind_of_loss(loss) in ("binary_logits", "numbers"),
    )


def for_loss(
    y: Any, predictions: Any, sample_weight: Any, loss: Any
) -> Labelled:
    """Return labels and weights that exclude unlabelled examples.

    Args:
        y: The labels, as the data set yields them.
        predictions: The student's outputs.
        sample_weight: The weights, as the data set yields them, or `None`.
        loss: The `loss` given to `compile`.

    Returns:
        Labels, weights and counts for the compiled loss.
    """
    parts = _parts(y, predictions, loss)
    known = [_labelled(p.y, p.prediction, p.rule) for p in parts]
    if all(labelled is None for labelled in known):
        size = _size(keras.tree.flatten(predictions), len(parts))
        return Labelled(y, predictions, sample_weight, size, size)
    labels, outputs, weights, counts, totals = {}, {}, {}, [], []
    for part, labelled in zip(parts, known, strict=True):
        weight = select(sample_weight, part.key)
        labels[part.key], weights[part.key] = part.y, weight
        count = total = _size([part.prediction], 1)
        if labelled is not None:
            labels[part.key] = _legal(part, labelled)
            count, total = _counts(labelled, mask_of(part.prediction))
            if _has_units(part):
                labelled = _unmasked(labelled, part.prediction)
                total = ops.cast(ops.size(labelled), "float32")
                labels[part.key] = ops.expand_dims(labels[part.key], -1)
                outputs[part.key] = ops.expand_dims(part.prediction, -1)
                if not part.rule.averages:
                    labelled = labelled / part.prediction.shape[-1]
            # A loss with `ignore_class` already divides by the number of the
            # other examples.
            if part.rule.averages and part.rule.ignored is None:
                labelled = labelled * ops.divide_no_nan(total, count)
            weights[part.key] = times(weight, labelled)
        counts.append(count)
        totals.append(total)
    for part, share in zip(parts, _shares_of_outputs(counts), strict=True):
        batch = ops.ones(ops.shape(part.prediction)[:1])
        weights[part.key] = times(weights[part.key], share * batch)
    return Labelled(
        _like(y, labels),
        _replaced(predictions, outputs),
        _like(y, weights),
        sum(counts),
        sum(totals),
    )


def for_metrics(y: Any, predictions: Any, loss: Any) -> tuple[Any, Any]:
    """Return valid labels and weights: 1 for a label, 0 for a missing one.

    A class that the loss ignores counts in metrics, as it does in Keras.

    Returns:
        Two structures like `y`; `None` instead of the second if labels of
        this type cannot be missing.
    """
    labels, weights = {}, {}
    for part in _parts(y, predictions, loss):
        part = part._replace(rule=part.rule._replace(ignored=None))
        labelled = _labelled(part.y, part.prediction, part.rule)
        weights[part.key] = labelled
        labels[part.key] = part.y
        if labelled is not None:
            labels[part.key] = _legal(part, labelled)
    if all(weight is None for weight in weights.values()):
        return y, None
    return _like(y, labels), _like(y, weights)


def times(weight: Any, labelled: Any) -> Any:
    """Multiply weights by 0 and 1; both may be `None` or lack axes."""
    if weight is None or labelled is None:
        return weight if labelled is None else labelled
    weight = ops.cast(ops.convert_to_tensor(weight), labelled.dtype)
    rank = len(labelled.shape)
    while len(weight.shape) > rank and weight.shape[-1] == 1:
        weight = ops.squeeze(weight, -1)
    return lift(weight, rank) * lift(labelled, len(weight.shape))


def _parts(y: Any, predictions: Any, loss: Any) -> list[_Part]:
    """Pair labels with outputs; return [] if they do not correspond."""
    leaves = keras.tree.flatten(predictions)
    if len(leaves) == 1 and len(keras.tree.flatten(y)) == 1:
        losses = keras.tree.flatten(loss)
        rule = rule_of(losses[0] if len(losses) == 1 else None)
        return [_Part(None, keras.tree.flatten(y)[0], leaves[0], rule)]
    if isinstance(y, dict) and isinstance(predictions, dict):
        keys = [key for key in y if key in predictions]
    elif (
        isinstance(y, (list, tuple))
        and isinstance(predictions, (list, tuple))
        and len(y) == len(predictions)
        and not isinstance(loss, dict)
    ):
        keys = list(range(len(y)))
    else:
        return []
    parts = [
        _Part(key, y[key], predictions[key], rule_of(select(loss, key)))
        for key in keys
    ]
    nested = any(
        part.y is None
        or keras.tree.is_nested(part.y)
        or keras.tree.is_nested(part.prediction)
        for part in parts
    )
    return [] if nested else parts


def _labelled(y: Any, prediction: Any, rule: Rule) -> Any:
    """Return 1.0 or 0.0 for each example or position: has it a label?

    Returns `None` if labels of this type cannot be missing.
    """
    dtype = keras.backend.standardize_dtype(y.dtype)
    floats = "float" in dtype
    missing = []
    if floats:
        missing.append(ops.isnan(y))
    if (floats or dtype.startswith("int")) and rule.minus_one[not floats]:
        missing.append(ops.equal(y, ops.cast(-1, dtype)))
    if rule.ignored is not None:
        missing.append(ops.equal(y, ops.cast(rule.ignored, dtype)))
    if not missing:
        return None
    absent = missing[0]
    for other in missing[1:]:
        absent = ops.logical_or(absent, other)
    each = _has_units(_Part(None, y, prediction, rule))
    if 1 < len(y.shape) >= len(prediction.shape) and not each:
        absent = ops.any(absent, axis=-1)
    return ops.cast(ops.logical_not(absent), "float32")


def _has_units(part: _Part) -> bool:
    """Return whether each unit of an output has a label of its own."""
    units = part.prediction.shape[-1]
    alike = len(part.y.shape) == len(part.prediction.shape)
    return part.rule.each and alike and units != 1 and part.y.shape[-1] == units


def _unmasked(labelled: Any, prediction: Any) -> Any:
    """Return 0 for the units of masked positions, which have no mask then."""
    mask = mask_of(prediction)
    if mask is None or len(mask.shape) > len(labelled.shape):
        return labelled
    return labelled * lift(ops.cast(mask, "float32"), len(labelled.shape))


def _replaced(predictions: Any, changed: dict[Any, Any]) -> Any:
    """Return the outputs with some of them changed."""
    if not changed:
        return predictions
    if None in changed:
        return keras.tree.pack_sequence_as(predictions, [changed[None]])
    if isinstance(predictions, dict):
        return predictions | changed
    return [changed.get(i, leaf) for i, leaf in enumerate(predictions)]


def _legal(part: _Part, labelled: Any) -> Any:
    """Replace missing labels by valid ones with a finite loss."""
    y, prediction = part.y, part.prediction
    present = ops.cast(lift(labelled, len(y.shape)), "bool")
    if part.rule.ignored is not None:
        return ops.where(present, y, ops.cast(part.rule.ignored, y.dtype))
    fill = ops.zeros_like(y)
    sparse = len(y.shape) < len(prediction.shape) or y.shape[-1] == 1
    if sparse and prediction.shape[-1] > 1:
        # The student does not mask its likeliest class.
        fill = ops.cast(ops.argmax(prediction, axis=-1), y.dtype)
        fill = ops.reshape(fill, ops.shape(y))
    return ops.where(present, y, fill)


def _counts(labelled: Any, mask: Any) -> tuple[Any, Any]:
    total = ops.cast(ops.size(labelled), "float32")
    if mask is not None and len(mask.shape) <= len(labelled.shape):
        kept = lift(ops.cast(mask, "float32"), len(labelled.shape))
        kept = ops.broadcast_to(kept, ops.shape(labelled))
        return ops.sum(labelled * kept), ops.sum(kept)
    return ops.sum(labelled), total


def _size(leaves: list[Any], num_outputs: int) -> Any:
    """Count examples or, for a single masked output, unmasked positions."""
    mask = mask_of(leaves[0])
    if num_outputs == 1 and mask is not None:
        return ops.sum(ops.cast(mask, "float32"))
    return ops.cast(ops.shape(leaves[0])[0], "float32")


def _shares_of_outputs(counts: list[Any]) -> list[Any]:
    """Return a factor for each output's loss that corrects its share.

    The step multiplies the sum of the outputs' losses by one share, local
    count divided by global count. With several outputs and replicas, an
    output's own share may differ, because other labels are missing.
    """
    if len(counts) == 1 or num_replicas() == 1:
        return [1.0] * len(counts)
    local = ops.stack([*counts, sum(counts)])
    shares = ops.divide_no_nan(local, all_sum(local))
    return list(ops.unstack(ops.divide_no_nan(shares[:-1], shares[-1])))


def _like(y: Any, parts: dict[Any, Any]) -> Any:
    if None in parts:
        return parts[None]
    if isinstance(y, dict):
        return {**dict.fromkeys(y), **parts}
    return [parts[index] for index in range(len(y))]
