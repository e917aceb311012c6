"""Draws examples of other classes, from the labels seen so far."""

from typing import Any

import keras
from keras import ops

from keras_kd.core.graph_checks import checked
from keras_kd.losses.targets import has_label


def contrast_index(
    ids: Any, classes: Any, count: int, seeds: Any, subject: str
) -> Any:
    """Draw negatives evenly from a random order of the other classes.

    None is drawn twice before all others were.

    Args:
        ids: `(batch,)`, int64: the examples' numbers.
        classes: `(num_examples,)`, int64: the class of every example.
        count: Number of negatives.
        seeds: A `keras.random.SeedGenerator`.
        subject: The loss, for the error.

    Returns:
        `(batch, 1 + count)`, int64: each id and its negatives.

    Raises:
        ValueError: If all examples have one class.
    """
    total = classes.shape[0]
    order = ops.argsort(classes * 2**31 + _random((total,), seeds))
    # In this order an example's class is one block, which is left out.
    arranged = ops.take(classes, order)
    own = ops.take(classes, ids)
    first, last = (
        ops.cast(ops.searchsorted(arranged, own, side), "int64")[:, None]
        for side in ("left", "right")
    )
    others = total - (last - first)
    others = checked(
        others,
        ops.all(others > 0),
        f"`{subject}` needs examples of two classes or more for its "
        "negatives. Received: one class. Set `other_classes=False`.",
    )
    phase = _random((ops.shape(ids)[0], 1), seeds) % others
    place = (ops.arange(count, dtype="int64") * others + phase) // count
    place += ops.where(place >= first, last - first, 0)
    return ops.concatenate([ids[:, None], ops.take(order, place)], axis=1)


def alone(shape: tuple[int, ...], dtype: Any) -> Any:
    """Put each example into a class of its own, as long as none is known."""
    return -1 - ops.arange(shape[0], dtype=dtype)


def class_numbers(labels: Any, otherwise: Any) -> Any:
    """Return the class of each example, int64.

    Args:
        labels: Labels in their normal form, or `None`.
        otherwise: `(batch,)`: the classes of examples without a label, or of
            all if an example has several labels.
    """
    if labels is None:
        return otherwise
    labels = ops.convert_to_tensor(labels)
    known = has_label(labels)
    if len(known.shape) != 1:
        return otherwise
    if len(labels.shape) == 2:
        labels = ops.argmax(labels, axis=-1)
    return ops.where(known, ops.cast(labels, "int64"), otherwise)


def _random(shape: Any, seeds: Any) -> Any:
    numbers = keras.random.randint(shape, 0, 2**31 - 1, seed=seeds)
    return ops.cast(numbers, "int64")
