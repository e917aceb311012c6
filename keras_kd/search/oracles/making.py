"""Makes the oracle of a search from a name or a KerasTuner oracle."""

from collections.abc import Mapping
from typing import Any

import keras_tuner
import numpy as np

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_integer
from keras_kd.core.checks import nearest
from keras_kd.core.checks import requirement
from keras_kd.search.keras_tuner_internals import DefaultObjective
from keras_kd.search.keras_tuner_internals import create_objective
from keras_kd.search.oracles.bayesian import BayesianOracle
from keras_kd.search.oracles.grid import GridOracle
from keras_kd.search.oracles.hyperband import HyperbandOracle
from keras_kd.search.oracles.search_oracle import SearchOracle

__all__ = ["ORACLES", "SearchOracle", "make_oracle"]

ORACLES = {
    "random": keras_tuner.oracles.RandomSearchOracle,
    "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
    "hyperband": keras_tuner.oracles.HyperbandOracle,
    "grid": keras_tuner.oracles.GridSearchOracle,
}

_ADDITIONS: tuple[tuple[Any, type[SearchOracle]], ...] = (
    (keras_tuner.oracles.BayesianOptimizationOracle, BayesianOracle),
    (keras_tuner.oracles.GridSearchOracle, GridOracle),
    (keras_tuner.oracles.HyperbandOracle, HyperbandOracle),
)
_GIVEN_OTHERWISE = ("objective", "max_trials", "seed", "hyperparameters")


def make_oracle(
    tuner: Any,
    *,
    objective: Any,
    max_trials: int | None,
    hyperparameters: Any,
    seed: int | None,
    budget: Any,
    **arguments: Any,
) -> SearchOracle:
    """Return an oracle that can be killed at any moment and knows budgets.

    Bayesian search learns from students over budget. Random search,
    Hyperband and grid search do not: for them such a student costs a trial,
    but no training.

    Args:
        tuner: `"random"`, `"bayesian"`, `"hyperband"`, `"grid"`, or an
            instance of any `keras_tuner.Oracle`, which keeps the arguments
            it was made with.
        objective: Name of a metric, a `keras_tuner.Objective`, or a list.
        max_trials: Maximum number of trials. Hyperband may end earlier, and
            grid search ends when every combination was tried.
        hyperparameters: A `keras_tuner.HyperParameters` that is already
            declared, or `None`.
        seed: The same seed gives the same proposals. `None` draws a seed,
            which the search keeps.
        budget: A `keras_kd.Budget` or `None`.
        **arguments: Arguments of the oracle's class, such as `beta`,
            `max_epochs`, `num_initial_points`,
            `max_consecutive_failed_trials`.

    Raises:
        TypeError: If `tuner` is neither a name nor an oracle.
        ValueError: If an argument does not exist, or has a value that the
            oracle refuses.

    Example:
    >>> oracle = make_oracle("random", objective="val_accuracy", max_trials=3,
    ...                      hyperparameters=None, seed=0, budget=None)
    >>> oracle.max_trials, oracle.objective.direction
    (3, 'max')
    """
    if seed is not None:
        check_integer("StudentTuner", "seed", seed, low=0)
    if max_trials is not None:
        check_integer("StudentTuner", "max_trials", max_trials, low=1)
    if hyperparameters is not None:
        hyperparameters = hyperparameters.copy()
    if isinstance(tuner, keras_tuner.Oracle):
        _check_no_arguments(tuner, arguments)
        oracle, seed = tuner, None
        if isinstance(oracle.objective, DefaultObjective):
            oracle.objective = create_objective(objective)
        if hyperparameters is not None:
            oracle.hyperparameters.merge(hyperparameters, overwrite=False)
    else:
        cls = _named(tuner)
        accepted = {
            "objective": objective,
            "hyperparameters": hyperparameters,
            "seed": seed,
        }
        _check_arguments(tuner, cls, arguments)
        oracle = cls(**accepted, **arguments)
        # Hyperband has no argument `max_trials`, but respects the attribute.
        oracle.max_trials = max_trials
        if seed == 0:
            _seed_with_zero(oracle)
    made = _searching(oracle)
    made.attach(budget, seed)
    if tuner == "hyperband" and "max_epochs" not in arguments:
        made.arguments_from_search = ("max_epochs",)
    return made


def _searching(oracle: Any) -> SearchOracle:
    """Make `SearchOracle` the first base class of an oracle."""
    if isinstance(oracle, SearchOracle):
        return oracle
    cls = type(oracle)
    base = next(
        (ours for theirs, ours in _ADDITIONS if isinstance(oracle, theirs)),
        SearchOracle,
    )
    # A subclass, not a wrapper, so that the oracle's own methods call the
    # overrides, in users' own oracles too.
    name = f"Search{cls.__name__}"
    oracle.__class__ = type(name, (base, cls), {"algorithm": cls})
    made: SearchOracle = oracle
    return made


def _named(tuner: Any) -> Any:
    if not isinstance(tuner, str):
        listed = ", ".join(repr(name) for name in ORACLES)
        expected = f"one of {listed}, or a keras_tuner.Oracle"
        raise TypeError(requirement("StudentTuner", "tuner", expected, tuner))
    return ORACLES[check_choice("StudentTuner", "tuner", tuner, ORACLES)]


def _check_arguments(
    tuner: str, cls: Any, arguments: Mapping[str, Any]
) -> None:
    code = cls.__init__.__code__
    names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    known = [name for name in names if name not in _GIVEN_OTHERWISE]
    for name in arguments:
        if name not in known:
            raise ValueError(
                f"`StudentTuner` with tuner={tuner!r} has no argument "
                f"{name!r}. It takes: {', '.join(known)}. "
                f"{nearest(name, known)}"
            )


def _check_no_arguments(tuner: Any, arguments: Mapping[str, Any]) -> None:
    if arguments:
        raise ValueError(
            "`StudentTuner` with an oracle takes none of its arguments. "
            f"Received: {', '.join(arguments)}. Give them to the "
            f"{type(tuner).__name__} instead."
        )


def _seed_with_zero(oracle: Any) -> None:
    """Seed with 0, which KerasTuner treats as no seed."""
    oracle.seed = oracle._seed_state = 0
    if isinstance(oracle, keras_tuner.oracles.BayesianOptimizationOracle):
        oracle._random_state = np.random.RandomState(0)
        oracle.gpr = oracle._make_gpr()
