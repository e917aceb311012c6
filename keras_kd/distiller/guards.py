"""Checks that run inside the compiled step, and their readable errors.

A failed check stops the step before the weights change. TensorFlow reports
it as an `InvalidArgumentError` with the graph around it; `readable` turns
that into the sentence alone.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

_MARK = re.compile(r"<keras_kd:(\w+)>(.*?)</keras_kd>", re.DOTALL)
# What a join raises while tf.data reads.
_MISS = re.compile(r"ValueError: (The teacher cache .*?)\n")
_ERRORS = {"nan": FloatingPointError, "labels": ValueError}


def _assert(condition: Any, error: str, message: str) -> Any:
    text = f"<keras_kd:{error}>{message}</keras_kd>"
    return tf.debugging.Assert(condition, [text])


def finite(name: str, value: Any) -> Any:
    """Check that one term of the loss is finite."""
    return _assert(tf.math.is_finite(value), "nan", non_finite_message([name]))


def finite_gradients(gradients: list[Any]) -> Any:
    """Check that the gradient is finite.

    A finite loss can have a NaN slope: a ReLU turns a NaN input into 0, and
    the gradient multiplies that input again.
    """
    sums = [tf.reduce_sum(g) for g in gradients if isinstance(g, tf.Tensor)]
    return finite("gradient", tf.add_n(sums) if sums else tf.zeros(()))


def not_nan(outputs: Any) -> list[Any]:
    """Check that the teacher gave numbers; minus infinity is a mask."""
    message = (
        "The teacher's outputs are NaN for this batch, so training stopped; "
        "the student's weights are those of the last good step. Look for NaN "
        "in the data."
    )
    return [
        _assert(
            tf.logical_not(tf.reduce_any(tf.math.is_nan(leaf))), "nan", message
        )
        for leaf in keras.tree.flatten(outputs)
        if leaf is not None
    ]


def labels_in_range(labels: Any, num_classes: int, ignored: Any) -> Any:
    """Check that class labels are below the number of classes.

    An example without a label has -1, or NaN.
    """
    labels = tf.convert_to_tensor(labels)
    inside = (labels >= 0) & (labels < num_classes)
    if not labels.dtype.is_unsigned:
        inside |= labels == -1
    if labels.dtype.is_floating:
        inside |= tf.math.is_nan(labels)
    if ignored is not None:
        inside |= labels == tf.cast(ignored, labels.dtype)
    return _assert(
        tf.reduce_all(inside),
        "labels",
        f"The data needs labels between 0 and {num_classes - 1}, one of the "
        f"student's {num_classes} classes, or -1 for no label. Received: a "
        "label outside. Map the labels, or give both models as many classes "
        "as the data has.",
    )


def after(checks: list[Any], structure: Any) -> Any:
    """Return `structure`, to be had only once the checks have passed."""
    checks = [check for check in checks if check is not None]
    if not checks:
        return structure
    with tf.control_dependencies(checks):
        return tf.nest.map_structure(
            lambda leaf: leaf if leaf is None else tf.identity(leaf), structure
        )


def non_finite_message(names: list[str]) -> str:
    """Word the error for loss terms that are NaN or infinite."""
    listed = " and ".join(f"`{name}`" for name in names)
    return (
        f"The loss is not finite: {listed} became NaN or infinite, so "
        "training stopped; the student's weights are those of the last good "
        "step. Lower the learning rate, set `clipnorm`, or look for NaN in "
        "the data."
    )


def stop_when_nan(epoch: int, logs: dict[str, float] | None = None) -> None:
    """Stop after an epoch whose steps XLA could not stop itself."""
    del epoch
    bad = [
        name
        for name, value in (logs or {}).items()
        if not name.startswith("val_") and value - value != 0
    ]
    if bad:
        raise FloatingPointError(non_finite_message(bad))


@contextmanager
def readable() -> Iterator[None]:
    """Raise the plain sentence of a failed check.

    Raises:
        FloatingPointError: If a term of the loss was not finite.
        ValueError: If labels were out of range, or an example is not in the
            teacher cache.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        missed = _MISS.search(str(error))
        if missed:
            raise ValueError(missed[1]) from None
        found = _MARK.search(str(error))
        if found is None:
            raise
        raise _ERRORS[found[1]](found[2].replace("\\'", "'")) from None
