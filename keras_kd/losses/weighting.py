"""Which examples count in a loss, and how strongly."""

from collections.abc import Callable
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_kd.core.checks import nearest
from keras_kd.core.checks import requirement
from keras_kd.core.checks import show
from keras_kd.core.graph_checks import checked
from keras_kd.core.saved_functions import saved_function
from keras_kd.losses.targets import class_mask
from keras_kd.losses.targets import has_label

Weighting: TypeAlias = str | Callable[[Any, Any], Any]


def check_weighting(subject: str, value: Any) -> Weighting | None:
    """Return a checked `weighting` argument.

    Args:
        subject: The loss to name in the error.
        value: `None`, a name, a function, or a serialized function.

    Raises:
        ValueError: If it is none of these.
    """
    if isinstance(value, dict):
        value = keras.saving.deserialize_keras_object(value)
    if value is None or (callable(value) and not isinstance(value, type)):
        return value
    if value not in list(_NAMED):
        raise ValueError(
            requirement(
                subject,
                "weighting",
                f"one of {', '.join(map(repr, _NAMED))}, or a function of the "
                "teacher's logits and the labels",
                value,
                nearest(value, _NAMED),
            )
        )
    return str(value)


def weighting_config(loss: Any) -> dict[str, Any]:
    """Return a loss's two arguments for its config, if they are given.

    Raises:
        ValueError: If `weighting` is a function that Keras could not load.
    """
    config: dict[str, Any] = {}
    if loss.weighting is not None:
        config["weighting"] = (
            loss.weighting
            if isinstance(loss.weighting, str)
            else saved_function(
                loss.weighting,
                subject=loss.name,
                argument="weighting",
                instead="name one of the package's own weightings",
            )
        )
    if loss.class_balance is not None:
        config["class_balance"] = keras.saving.serialize_keras_object(
            loss.class_balance
        )
    return config


def is_weighted(loss: Any) -> bool:
    """Tell whether the examples of a loss have factors of their own."""
    return loss.weighting is not None or loss.class_balance is not None


def needs_classes(loss: Any) -> list[str]:
    """Return the arguments of a loss that are about classes alone."""
    named = isinstance(loss.weighting, str)
    return [
        *([f"weighting={loss.weighting!r}"] if named else []),
        *(["class_balance"] if loss.class_balance is not None else []),
    ]


def factors(loss: Any, teacher_logits: Any, labels: Any) -> Any:
    """Return the factor of each example and position.

    Args:
        loss: A loss that `is_weighted`.
        teacher_logits: `(batch, ..., classes)`; `None` without `weighting`.
        labels: Labels in their normal form, or `None`.

    Returns:
        `(batch, ...)`, 0 or more. Constant.

    Raises:
        ValueError: If labels are missing, or a function returns factors of
            another shape, below 0, or not finite.
    """
    product: Any = None
    if loss.weighting is not None:
        logits = ops.stop_gradient(teacher_logits)
        if isinstance(loss.weighting, str):
            if loss.weighting == "teacher_correct":
                _check_labels(loss, "weighting='teacher_correct'", labels)
            product = _NAMED[loss.weighting](logits, labels)
        else:
            product = _checked(loss, logits, loss.weighting(logits, labels))
    if loss.class_balance is not None:
        _check_labels(loss, "class_balance", labels)
        balance = loss.class_balance.of(labels)
        product = balance if product is None else _product(product, balance)
    return ops.stop_gradient(product)


def weighted(values: Any, factor: Any) -> Any:
    """Multiply the values of a loss by the factors of their examples.

    Factors of positions count where the values have the same positions;
    elsewhere their mean counts for the whole example.

    Args:
        values: `(batch, ...)`.
        factor: `(batch, ...)`.

    Returns:
        The shape and dtype of `values`.
    """
    positions = tuple(factor.shape[1:])
    if positions and positions != tuple(values.shape[1:]):
        factor = ops.mean(factor, axis=tuple(range(1, len(factor.shape))))
    return _product(values, ops.cast(factor, values.dtype))


def _product(one: Any, other: Any) -> Any:
    while len(one.shape) < len(other.shape):
        one = ops.expand_dims(one, -1)
    while len(other.shape) < len(one.shape):
        other = ops.expand_dims(other, -1)
    return one * other


def _confidence(logits: Any, labels: Any) -> Any:
    """Return the teacher's largest probability."""
    del labels
    return ops.exp(ops.max(ops.log_softmax(logits, axis=-1), axis=-1))


def _correct(logits: Any, labels: Any) -> Any:
    """Return 1 where the teacher is right or nobody knows, 0 elsewhere."""
    mask = class_mask(labels, logits.shape[-1])
    likeliest = ops.expand_dims(ops.argmax(logits, axis=-1), -1)
    right = ops.take_along_axis(ops.cast(mask, "float32"), likeliest, axis=-1)
    return ops.where(has_label(labels), ops.squeeze(right, -1), 1.0)


def _certainty(logits: Any, labels: Any) -> Any:
    """Return 1 for a teacher that is sure, 0 for one that guesses."""
    del labels
    log_p = ops.log_softmax(logits, axis=-1)
    p = ops.exp(log_p)
    entropy = -ops.sum(p * ops.where(p > 0, log_p, 0.0), axis=-1)
    most = ops.log(ops.cast(logits.shape[-1], logits.dtype))
    return ops.maximum(1 - entropy / most, 0.0)


_NAMED = {
    "teacher_confidence": _confidence,
    "teacher_correct": _correct,
    "entropy": _certainty,
}


def _check_labels(loss: Any, what: str, labels: Any) -> None:
    if labels is None:
        raise ValueError(
            f"`{loss.name}` needs labels for `{what}`. Received: data "
            "without labels. Give labels, with -1 for those that are "
            "unknown, or leave the argument out."
        )


def _checked(loss: Any, logits: Any, factor: Any) -> Any:
    """Check the factors of a user's function."""
    factor = ops.cast(ops.convert_to_tensor(factor), "float32")
    if len(factor.shape) not in (1, len(logits.shape) - 1):
        raise ValueError(
            f"`{loss.name}` needs the function `weighting` to return one "
            "factor per example, `(batch,)`, or one per position. Received: "
            f"factors of shape {show(tuple(factor.shape))} for logits of shape "
            f"{show(tuple(logits.shape))}."
        )
    allowed = ops.logical_and(factor >= 0, ops.isfinite(factor))
    factor = checked(
        factor,
        ops.all(allowed),
        f"`{loss.name}` needs the function `weighting` to return finite "
        "factors of at least 0. Received: a factor that is not. Training "
        "stopped; the student's weights are those of the last good step.",
    )
    # XLA drops the check, and a NaN stops the step there.
    return ops.where(allowed, factor, float("nan"))
