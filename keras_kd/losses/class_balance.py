"""Examples of rare classes count more."""

from collections.abc import Iterable
from typing import Any
from typing import Self

import keras
from keras import ops

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement
from keras_kd.losses.targets import class_mask
from keras_kd.losses.targets import has_label


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
        Cui et al. 2019, arXiv:1901.05555: the inverse of the effective
        number of their proposition 1, normalized as there.

    Args:
        counts: The number of training examples n_c of each class, 1 or more.
            Each label of a sigmoid head has two classes, absent and present.
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

    def of(self, labels: Any) -> Any:
        """Return the factor of each label, `(batch, ...)`.

        Args:
            labels: Labels in their normal form.
        """
        each = ops.convert_to_tensor(self.factors, dtype="float32")
        mask = class_mask(labels, len(self.counts))
        named = ops.sum(ops.where(mask, each, 0.0), axis=-1)
        return ops.where(has_label(labels), named, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {"counts": self.counts, "beta": self.beta}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make it from what `get_config` returned."""
        return cls(**config)


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
