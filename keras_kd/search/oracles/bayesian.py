"""Bayesian search that proposes new students expected to fit the budget."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import threadpoolctl
from sklearn.exceptions import ConvergenceWarning

from keras_kd.search.oracles import scoring
from keras_kd.search.oracles.search_oracle import SearchOracle

# Random points of the space among which the best is proposed.
_POINTS = 2000
# Tolerance on the predicted logarithm of cost over limit: half a percent. A
# student whose cost equals the limit fits.
_DOUBT = 0.005


class BayesianOracle(SearchOracle):
    """KerasTuner's Bayesian search, with a constraint.

    The Gaussian process, its kernel, the confidence bound and the random
    first points are KerasTuner's. What differs is where the bound is
    evaluated: at random points that no trial has had and whose student is
    expected to fit. KerasTuner's optimum, rounded to the values of the
    space, is often a trial that was already run. Its process would also
    learn the score of students over budget, a cliff that pulls the
    prediction down on the feasible side too. So a second process learns the
    logarithm of cost over limit.

    The matrices have one row per trial, so one thread computes them in a
    fifth of the time, and a resumed search proposes the same values to the
    last bit.

    Reference:
        Gardner, Kusner, Xu, Weinberger and Cunningham 2014, Bayesian
        Optimization with Inequality Constraints, ICML. Departure: points
        that fit with a probability of less than a half are left out, instead
        of weighting an expected improvement.
    """

    def _propose(self, trial_id: str) -> Any:
        dimensions = len(self._nonfixed_space())
        first = self.num_initial_points or max(3 * dimensions, 3)
        done = [t for t in self.trials.values() if t.status == "COMPLETED"]
        if len(done) < first or not dimensions:
            return super()._propose(trial_id)
        with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
            # A kernel at its bounds proposes well enough, and users of the
            # search could not change it.
            warnings.simplefilter("ignore", ConvergenceWarning)
            untried = self._untried()
            if not untried:
                return self._random_populate_space()
            bound = self._bound(done, np.array([*map(self._place, untried)]))
        return {"status": "RUNNING", "values": untried[int(bound.argmin())]}

    def _untried(self) -> list[dict[str, Any]]:
        """Draw random points and return the values that no trial has had."""
        low, high = self._get_hp_bounds().T
        found: dict[Any, dict[str, Any]] = {}
        for _ in range(_POINTS):
            point = self._random_state.uniform(low, high)
            values = self._vector_to_values(point.tolist())
            found.setdefault(self._compute_values_hash(values), values)
        return [
            values
            for key, values in found.items()
            if key not in self._tried_so_far
        ]

    def _bound(self, done: list[Any], points: np.ndarray) -> np.ndarray:
        """Return the lower confidence bound of the loss at each point.

        It is infinite where the student is expected to be over budget. If no
        student fits, or no point is expected to, the predicted cost is
        returned instead.
        """
        places = np.array([self._place(t.hyperparameters.values) for t in done])
        over = np.array([scoring.is_infeasible(trial) for trial in done])
        bound = np.zeros(len(points))
        if not over.all():
            sign = -1.0 if self.objective.direction == "max" else 1.0
            losses = [sign * trial.score for trial in np.array(done)[~over]]
            self._learn(places[~over], np.array(losses))
            mean, deviation = self.gpr.predict(points, return_std=True)
            bound = mean - self.beta * deviation
        if over.any():
            costs = self._make_gpr().fit(places, [*map(self._log_cost, done)])
            expected = costs.predict(points)
            if over.all() or expected.min() > _DOUBT:
                return expected
            bound[expected > _DOUBT] = math.inf
        return bound

    def _learn(self, places: np.ndarray, losses: np.ndarray) -> None:
        """Fit the process; assume a bad result for each running trial."""
        self.gpr.fit(places, losses)
        running = [
            self._place(trial.hyperparameters.values)
            for trial in self.ongoing_trials.values()
        ]
        if running:
            mean, deviation = self.gpr.predict(running, return_std=True)
            self.gpr.fit(
                np.concatenate([places, running]),
                np.concatenate([losses, mean + deviation]),
            )

    def _place(self, values: Mapping[str, Any]) -> list[float]:
        """Return values as a point of the unit cube."""
        return [
            hp.value_to_prob(values.get(hp.name, hp.default))
            for hp in self._nonfixed_space()
        ]

    def _log_cost(self, trial: Any) -> float:
        """Return the logarithm of the largest cost over its limit."""
        if scoring.is_infeasible(trial):
            return math.log1p(scoring.violation(trial))
        measured = scoring.measured(trial)
        limits = self.budget.limits if self.budget else {}
        shares = [
            measured[name] / limit
            for name, limit in limits.items()
            if measured.get(name)
        ]
        return math.log(max(shares)) if shares else 0.0
