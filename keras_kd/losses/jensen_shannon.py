"""Generalized Jensen-Shannon divergence between the two softmaxes."""

import math
from collections.abc import Mapping
from typing import Any
from typing import ClassVar

import keras
from keras import ops

from keras_kd.core.checks import check_number
from keras_kd.core.ranges import Range
from keras_kd.losses.base import DistillationLoss
from keras_kd.losses.functional import kl_divergence


@keras.saving.register_keras_serializable("keras_kd")
class JensenShannon(DistillationLoss):
    """Jensen-Shannon: a bounded divergence between the two softmaxes.

    `beta` goes from covering all that the teacher finds likely (0) to
    choosing what it finds likeliest (1). Choose it for token models that are
    too small to cover their teacher, as in generalized KD. It costs as much
    as soft targets. Between 0 and 1 it has a bound, `log 2` at most, so that
    a student that is surely wrong has hardly a slope: keep the labels' loss
    beside it.

    Formula:
        `beta * KL(p to m) + (1 - beta) * KL(q to m)` with p and q the
        softmaxes of teacher and student at temperature 1 and
        `m = beta * p + (1 - beta) * q`, computed from log-softmaxes; with
        `beta` 0 it is `KL(p to q)`, with 1 `KL(q to p)`.

    Reference:
        Agarwal et al. 2024, arXiv:2306.13649, equation 1, and its two limits
        at 0 and 1 as in the TRL library.

    Args:
        beta: Weight of the teacher in the mixture, 0 to 1. Defaults to 0.5.
        **kwargs: Those of `DistillationLoss`.

    Shapes:
        teacher_outputs: logits `(batch, ..., classes)`, any float dtype.
        student_outputs: logits of the same shape.

    Returns:
        `(batch, ...)` without the classes, float32 (float64 for float64
        inputs).

    Raises:
        ValueError: If `beta` is not from 0 to 1, or the class counts differ.

    Example:
    >>> import keras_kd
    >>> loss = keras_kd.losses.JensenShannon()
    >>> values = loss([[4.0, 0.0, -2.0]], [[1.0, 1.0, 0.0]])
    >>> print(f"{float(values[0]):.4f}")
    0.2204
    """

    needs_classes = True
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(0.0, 1.0)}

    def __init__(self, beta: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.beta = check_number("JensenShannon", "beta", beta, low=0, high=1)

    def call(
        self, teacher_outputs: Any, student_outputs: Any, labels: Any = None
    ) -> Any:
        """Return the divergence of each example and position."""
        if self.beta == 0:
            return kl_divergence(teacher_outputs, student_outputs)
        if self.beta == 1:
            return kl_divergence(student_outputs, teacher_outputs)
        return _divergence(self.beta)(teacher_outputs, student_outputs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {"beta": self.beta}


def _divergence(beta: float) -> Any:
    """Return the divergence of logits, with its gradient as on paper.

    To differentiate the forward pass would take twice the time and memory.
    """

    @ops.custom_gradient
    def divergence(*logits: Any) -> Any:
        # Masked classes have a log-probability that is finite.
        log_p, log_q = (
            ops.maximum(ops.log_softmax(each, axis=-1), -1e30)
            for each in logits
        )
        log_m = ops.logaddexp(
            log_p + math.log(beta), log_q + math.log(1 - beta)
        )
        teacher, teacher_slope = _share(beta, log_p, log_m)
        student, student_slope = _share(1 - beta, log_q, log_m)

        def gradients(*arguments: Any, upstream: Any = None) -> Any:
            (upstream,) = arguments or (upstream,)
            upstream = ops.expand_dims(upstream, -1)
            return upstream * teacher_slope, upstream * student_slope

        return teacher + student, gradients

    return divergence


def _share(weight: float, log_x: Any, log_m: Any) -> tuple[Any, Any]:
    """Return `weight * KL(x to m)` and the slope of the whole by x's logits."""
    x, surprise = ops.exp(log_x), log_x - log_m
    divergence = ops.sum(x * surprise, axis=-1)
    slope = x * (surprise - ops.expand_dims(divergence, -1))
    return weight * divergence, weight * slope
