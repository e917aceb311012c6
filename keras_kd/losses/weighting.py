"""Which examples count in a loss, and how strongly."""

from collections.abc import Callable
from collections.abc import Iterable
from typing import Any
from typing import Self
from typing import TypeAlias

import keras
from keras import ops

from keras_kd.core.assertions import ensured
from keras_kd.core.checks import check_integer
from keras_kd.core.checks import check_number
from keras_kd.core.checks import nearest
from keras_kd.core.checks import requirement
from keras_kd.core.checks import show
from keras_kd.core.saved_functions import saved_function
from keras_kd.losses.targets import class_mask
from keras_kd.losses.targets import has_label

Weighting: TypeAlias = str | Callable[[Any, Any], Any]


@keras.saving.register_keras_serializable("keras_kd")
class ClassBalance:
    """Factors that let examples of rare classes count more.

    Give it to a loss as `class_balance`; a list of counts is the same with
    the default `beta`. It costs one look-up an example.

    Formula:
        An example of class c has the factor
        `f_c = (1 - beta) / (1 - beta^n_c)`, divided by the mean of f over
        the classes. Its inverse is the effective number of examples:
        further examples of a class add ever less. An example without a label
        has the factor 1.

    Reference:
        Cui et al. 2019, arXiv:1901.05555, section 3 and equation 6.

    Args:
        counts: The number of training examples n_c of each class, 1 or more.
        beta: Between 0 (all classes count the same) and 1 (a class counts
            as the inverse of its number). Defaults to 0.999, which suits
            classes of hundreds to thousands of examples.

    Raises:
        TypeError: If a count is no integer.
        ValueError: If there are fewer than two counts, a count is below 1 or
            `beta` is outside [0, 1].

    Example:
    >>> import keras_kd
    >>> balance = keras_kd.losses.ClassBalance([900, 100], beta=1.0)
    >>> print([round(factor, 4) for factor in balance.factors])
    [0.2, 1.8]
    """

    def __init__(self, counts: Iterable[int], beta: float = 0.999) -> None:
        counts = list(counts)
        if len(counts) < 2:
            raise ValueError(
                requirement(
                    "ClassBalance", "counts", "one number a class", counts
                )
            )
        self.counts = [
            check_integer(
                "ClassBalance",
                "counts",
                count,
                low=1,
                advice="Count a class without examples as 1.",
            )
            for count in counts
        ]
        self.beta = check_number("ClassBalance", "beta", beta, low=0, high=1)

    @property
    def factors(self) -> list[float]:
        """The factor of each class; their mean is 1."""
        raw = [
            1 / n if self.beta == 1 else (1 - self.beta) / (1 - self.beta**n)
            for n in self.counts
        ]
        mean = sum(raw) / len(raw)
        return [factor / mean for factor in raw]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {"counts": self.counts, "beta": self.beta}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make it from what `get_config` returned."""
        return cls(**config)


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


def check_class_balance(subject: str, value: Any) -> ClassBalance | None:
    """Return a checked `class_balance` argument.

    Args:
        subject: The loss to name in the error.
        value: `None`, a `ClassBalance`, a serialized one, or counts.

    Raises:
        TypeError: If it is none of these.
        ValueError: If a count is not allowed.
    """
    if isinstance(value, dict):
        value = keras.saving.deserialize_keras_object(value)
    if value is None or isinstance(value, ClassBalance):
        return value
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(
            requirement(
                subject,
                "class_balance",
                "the number of examples of each class, or a ClassBalance",
                value,
                "Such as [5000, 120, 40].",
            )
        )
    return ClassBalance(value)


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
        balance = _balanced(labels, loss.class_balance.factors)
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


def _balanced(labels: Any, each: list[float]) -> Any:
    mask = class_mask(labels, len(each))
    named = ops.sum(ops.where(mask, ops.convert_to_tensor(each), 0.0), axis=-1)
    return ops.where(has_label(labels), named, 1.0)


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
    factor = ensured(
        factor,
        ops.all(allowed),
        "weighting",
        f"`{loss.name}` needs the function `weighting` to return finite "
        "factors of at least 0. Received: a factor that is not. Training "
        "stopped; the student's weights are those of the last good step.",
    )
    # XLA drops the check, and a NaN stops the step there.
    return ops.where(allowed, factor, float("nan"))
