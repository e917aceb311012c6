"""The numbers behind a report, computed from plain arrays."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_kd.core import pareto

NUM_BINS = 10
# Two-sided 95 % of a normal distribution.
_Z = 1.959963984540054


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share that was counted.

    Formula:
        centre = (share + z^2 / 2n) / (1 + z^2 / n) and
        half = z / (1 + z^2 / n) * sqrt(share (1 - share) / n + z^2 / 4n^2)
        with z = 1.96.

    Reference:
        Wilson, 1927, Journal of the American Statistical Association 22,
        209-212.

    Args:
        share: The share, 0 to 1.
        count: Number of examples, at least 1.

    Example:
    >>> from keras_kd.reporting.counting import wilson
    >>> low, high = wilson(0.9, 100)
    >>> round(low, 3), round(high, 3)
    (0.826, 0.945)
    """
    spread = _Z**2 / count
    centre = (share + spread / 2) / (1 + spread)
    half = _Z * np.sqrt(share * (1 - share) / count + spread / (4 * count))
    half /= 1 + spread
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the points that no other point beats, by rising cost.

    Args:
        points: Pairs of a cost (smaller is better) and a value (larger is
            better).

    Example:
    >>> from keras_kd.reporting.counting import front
    >>> front([(3, 0.9), (1, 0.7), (2, 0.7), (4, 0.8)])
    [1, 0]
    """
    return pareto.front([(cost, -value) for cost, value in points])


class Reliability(NamedTuple):
    """Accuracy and mean confidence in bins of equal width.

    Attributes:
        counts: Examples in each bin.
        confidence: Mean of the largest probability, NaN for an empty bin.
        accuracy: Share that is right, NaN for an empty bin.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """The mean gap between accuracy and confidence, by examples."""
        gaps = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float((self.counts * gaps).sum() / self.counts.sum())

    @property
    def bias(self) -> float:
        """Mean confidence minus accuracy; above 0 is overconfident."""
        gaps = np.nan_to_num(self.confidence - self.accuracy)
        return float((self.counts * gaps).sum() / self.counts.sum())


def reliability(confidence: np.ndarray, correct: np.ndarray) -> Reliability:
    """Count how often a model is right at each confidence.

    Args:
        confidence: The largest probability of each example.
        correct: Whether the model is right about it.

    Shapes:
        confidence, correct: `(examples,)`; bins are ((m-1)/10, m/10].
    """
    bins = np.ceil(np.asarray(confidence, np.float64) * NUM_BINS) - 1
    bins = np.clip(bins, 0, NUM_BINS - 1).astype(int)
    counts = np.bincount(bins, minlength=NUM_BINS)
    with np.errstate(invalid="ignore"):
        means = [
            np.bincount(bins, values, minlength=NUM_BINS) / counts
            for values in (confidence, correct)
        ]
    return Reliability(counts, *means)


class Errors(NamedTuple):
    """Where a student is wrong and its teacher is not.

    Attributes:
        new: Examples by label and the student's wrong choice, on which the
            teacher is right; `(classes, classes)`.
        num_new: Examples in `new`.
        num_mended: Examples that the student gets right and the teacher
            wrong.
        num_both: Examples that both get wrong.
    """

    new: np.ndarray
    num_new: int
    num_mended: int
    num_both: int

    @property
    def chance(self) -> float:
        """How probable so unequal counts are if both models are as good.

        The exact McNemar test, two-sided: of the examples that only one model
        gets right, each is equally likely to be the teacher's.
        """
        count = self.num_new + self.num_mended
        fewer = min(self.num_new, self.num_mended)
        tail = sum(
            math.exp(
                math.lgamma(count + 1)
                - math.lgamma(number + 1)
                - math.lgamma(count - number + 1)
                - count * math.log(2)
            )
            for number in range(fewer + 1)
        )
        return min(1.0, 2 * tail)


def errors(
    labels: np.ndarray,
    teacher: np.ndarray,
    student: np.ndarray,
    num_classes: int,
) -> Errors:
    """Compare the choices of a teacher and a student.

    Args:
        labels: The right class of each example.
        teacher: The teacher's choices.
        student: The student's choices.
        num_classes: Number of classes.

    Shapes:
        labels, teacher, student: `(examples,)`, class numbers.
    """
    taught, learned = teacher == labels, student == labels
    lost = taught & ~learned
    new = np.zeros((num_classes, num_classes), int)
    np.add.at(new, (labels[lost], student[lost]), 1)
    return Errors(
        new,
        int(lost.sum()),
        int((learned & ~taught).sum()),
        int((~learned & ~taught).sum()),
    )


def distance(teacher: np.ndarray, student: np.ndarray) -> np.ndarray:
    """Return the share of probability that two models place differently.

    Formula:
        half the sum over classes of |teacher - student| (total variation).

    Args:
        teacher: The teacher's probabilities.
        student: The student's probabilities.

    Shapes:
        teacher, student: `(examples, classes)`.
    """
    return np.abs(teacher - student).sum(-1) / 2


def envelope(values: np.ndarray, num_bins: int) -> np.ndarray:
    """Return the lowest and the highest value of each part of a curve.

    Args:
        values: The curve, `(length,)`.
        num_bins: Parts at most.

    Returns:
        `(parts, 2)`.
    """
    parts = np.array_split(values, min(num_bins, len(values)))
    return np.array([(part.min(), part.max()) for part in parts])
