"""Detects early that no student can meet the budget."""

from collections.abc import Sequence
from typing import Any

from keras_kd.core.errors import OverBudgetError
from keras_kd.search.cost.measurement import QUANTITIES
from keras_kd.search.cost.measurement import Measurement
from keras_kd.search.oracles import scoring

# If this many trials, the smallest student among them, are all over budget,
# then no student fits.
FIRST_ROUND = 10
# Trials over budget before the smallest student is tried.
_BEFORE_PROBE = 2
# These hyperparameters do not change the student's size.
_NOT_THE_STUDENTS = ("alpha", "temperature")


def smallest(space: Any, trials: Sequence[Any]) -> dict[str, Any] | None:
    """Return the values of the smallest student, once it is worth a trial.

    It is worth a trial when the first trials are all over budget. Every
    number that shapes the student is set to the lower end of its range;
    everything else is copied from the trial closest to the budget.

    Args:
        space: The oracle's `keras_tuner.HyperParameters`.
        trials: All trials so far.

    Returns:
        Values by name; `None` if the smallest student is not worth a trial.
    """
    over = [trial for trial in trials if scoring.is_infeasible(trial)]
    if len(over) < _BEFORE_PROBE or any(map(scoring.is_feasible, trials)):
        return None
    nearest = min(over, key=scoring.violation)
    kept = nearest.hyperparameters.values
    values = type(space)()
    for hp in space.space:
        values.merge([hp])
        if not values.is_active(hp):
            continue
        low = getattr(hp, "min_value", None)
        if low is not None and hp.name not in _NOT_THE_STUDENTS:
            values.values[hp.name] = low
        else:
            values.values[hp.name] = kept.get(hp.name, hp.default)
    found: dict[str, Any] = values.values
    return found


def check(budget: Any, trials: Sequence[Any], over: bool) -> None:
    """Raise when a whole round of trials is over budget.

    Args:
        budget: The `keras_kd.Budget`.
        trials: All trials so far.
        over: Whether the search has ended; then any number of trials is a
            round.

    Raises:
        OverBudgetError: Describes the smallest student seen.
    """
    infeasible = [trial for trial in trials if scoring.is_infeasible(trial)]
    enough = 1 if over else FIRST_ROUND
    if len(infeasible) < enough or any(map(scoring.is_feasible, trials)):
        return
    nearest = min(infeasible, key=scoring.violation)
    metrics = scoring.measured(nearest)
    values = ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in nearest.hyperparameters.values.items()
        if not name.startswith("tuner/")
    )
    reason = nearest.message or budget.reason(metrics)
    raise OverBudgetError(
        f"No student fits the budget: all {len(infeasible)} of the "
        f"{'search' if over else 'first round'} are over it. The smallest "
        f"student seen, with {values}: {reason}. Raise the budget, or let "
        "`build_student` make smaller students.",
        measurement=Measurement.from_json(
            {
                name: value if name == "latency_ms" else int(value)
                for name, value in metrics.items()
                if name in QUANTITIES
            }
        ),
        violation=scoring.violation(nearest),
        reason=reason,
    )
