"""Constrained scores: how a search scores a student over budget."""

import math
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

# The metric that says how far a student is over budget.
VIOLATION = "violation"
# Suffix to the objective's name: the metric of its spread over executions.
SPREAD = "_std"
# Distance between the scores of the worst student that fits and the best that
# does not, in spreads.
_GAP = 0.1


def violation(trial: Any) -> float:
    """Return how far a trial's student is over budget; 0.0 when it fits.

    Args:
        trial: A `keras_tuner` trial. Its `"violation"` metric is a share of
            the limit: 0.22 is 22 % over.
    """
    if not trial.metrics.exists(VIOLATION):
        return 0.0
    value = trial.metrics.get_last_value(VIOLATION)
    if value is None:
        return 0.0
    return math.inf if math.isnan(value) else max(0.0, float(value))


def is_feasible(trial: Any) -> bool:
    """Tell whether a trial ended with a trained student that fits."""
    return trial.status == "COMPLETED" and violation(trial) == 0.0


def is_infeasible(trial: Any) -> bool:
    """Tell whether a trial ended without training, over budget."""
    return trial.status == "COMPLETED" and violation(trial) > 0.0


def best(trials: Iterable[Any], objective: Any) -> list[Any]:
    """Return the trials whose students fit, the best one first."""
    return sorted(
        filter(is_feasible, trials),
        key=lambda trial: trial.score,
        reverse=objective.direction == "max",
    )


def measured(trial: Any) -> dict[str, float]:
    """Return the last value of every metric of a trial, by name."""
    return {
        name: trial.metrics.get_last_value(name)
        for name in trial.metrics.metrics
    }


def constrained_scores(
    feasible: Iterable[float], violations: Sequence[float], direction: str
) -> list[float]:
    """Return a score for each student over budget, worse than all that fit.

    The score is `worst - spread * (0.1 + violation / (1 + violation))` when
    the objective is maximized, where `worst` and `spread` are over the
    students that fit; it is mirrored when the objective is minimized. It
    falls as the violation grows, but stays within 1.1 spreads of the worst:
    otherwise one student a hundred times too large would make all others
    look the same to a Gaussian process. A constant far from the feasible
    scores (-1e9, say) would have the same effect.

    Args:
        feasible: Scores of the trials that fit.
        violations: How far over budget the others are, each above 0.
        direction: `"max"` or `"min"`.

    Example:
    >>> scores = constrained_scores([0.5, 0.9], [0.25, 3.0], "max")
    >>> [f"{score:.2f}" for score in scores]
    ['0.38', '0.16']
    """
    sign = -1.0 if direction == "max" else 1.0
    losses = [sign * score for score in feasible]
    worst = max(losses, default=0.0)
    spread = worst - min(losses, default=0.0)
    # A single student that fits, or equal scores, have no spread.
    spread = max(spread, 1e-6 * abs(worst)) or 1.0
    return [
        sign * (worst + spread * (_GAP + 1.0 - 1.0 / (1.0 + value)))
        for value in violations
    ]
