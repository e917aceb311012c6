"""The results of a search: its trials, their costs, and the best of them."""

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

from keras_kd.core import pareto
from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_number
from keras_kd.search.candidate import Candidate
from keras_kd.search.cluster import AnyOracle
from keras_kd.search.cost.budget import Budget
from keras_kd.search.cost.ledger import Ledger
from keras_kd.search.cost.measurement import QUANTITIES
from keras_kd.search.cost.measurement import Wanted
from keras_kd.search.trials.hypermodel import StudentHyperModel

RULES = ("best", "knee")


class HeldOutResult(NamedTuple):
    """Metrics of the best trial on data that the search has not seen.

    Attributes:
        trial_id: The trial.
        mean: Each metric's mean over the executions.
        spread: Each metric's standard deviation over the executions, with
            n - 1; empty for a single execution.
        executions: The metrics of each execution.
    """

    trial_id: str
    mean: dict[str, float]
    spread: dict[str, float]
    executions: list[dict[str, float]]


class Results:
    """Selects trials of a search by their objective and costs.

    Args:
        oracle: The oracle of the search.
        hypermodel: Builds the students whose costs were not measured yet.
        budget: The search's budget, or `None`.
        ledger: The ledger that stores costs.
    """

    def __init__(
        self,
        oracle: AnyOracle,
        hypermodel: StudentHyperModel,
        budget: Budget | None,
        ledger: Ledger,
    ) -> None:
        self._oracle = oracle
        self._hypermodel = hypermodel
        self._budget = budget
        self._ledger = ledger

    def candidates(self) -> list[Candidate]:
        """Return all trials, in the order they started."""
        name = self._oracle.objective.name
        # A worker does not know the order; it sorts by ID.
        started = getattr(self._oracle, "start_order", [])
        places = {trial_id: place for place, trial_id in enumerate(started)}
        return [
            Candidate.of(trial, name, self._budget)
            for trial in sorted(
                self._oracle.trials.values(),
                key=lambda trial: (
                    places.get(trial.trial_id, len(places)),
                    trial.trial_id,
                ),
            )
        ]

    def front(self, by: tuple[str, ...]) -> list[Candidate]:
        """Return the trained trials that no other beats in every respect.

        Args:
            by: The costs to compare; empty for those that the budget limits.

        Raises:
            ValueError: If a cost is unknown.
        """
        for name in by:
            check_choice("pareto_front", "by", name, QUANTITIES)
        names = list(by) or self._limited()
        candidates = self._measured(names)
        rows = pareto.front([self._row(c, names) for c in candidates])
        return [candidates[row] for row in rows]

    def best(
        self, rule: str, max_bytes: float | None, max_latency_ms: float | None
    ) -> Candidate:
        """Return the trial that `best_student` takes.

        Args:
            rule: One of `RULES`.
            max_bytes: Upper limit of `size_bytes`.
            max_latency_ms: Upper limit of `latency_ms`.

        Raises:
            ValueError: If no trained trial keeps the limits.
        """
        check_choice("best_student", "rule", rule, RULES)
        given = {"size_bytes": max_bytes, "latency_ms": max_latency_ms}
        limits = {k: v for k, v in given.items() if v is not None}
        for name, limit in limits.items():
            check_number("best_student", name, limit, above=0)
        names = list(dict.fromkeys([*limits, *self._limited()]))
        candidates = self._measured(names)
        if not candidates:
            raise ValueError(self.nothing_trained())
        kept = [
            candidate
            for candidate in candidates
            if all(getattr(candidate, k) <= v for k, v in limits.items())
        ]
        if not kept:
            raise ValueError(_nothing_kept(candidates, limits))
        rows = [self._row(candidate, names) for candidate in kept]
        if rule == "best":
            best = min(range(len(rows)), key=lambda i: (rows[i][-1], rows[i]))
            return kept[best]
        front = pareto.front(rows)
        return kept[front[pareto.knee([rows[i] for i in front])]]

    def nothing_trained(self) -> str:
        """Return the error message for a search that trained no student."""
        statuses = [candidate.status for candidate in self.candidates()]
        counts = ", ".join(
            f"{statuses.count(status)} {status}"
            for status in sorted(set(statuses))
        )
        return (
            "The search has no trained student. Received: "
            f"{counts or 'no trials'}. Call `search`, or raise the budget."
        )

    def _limited(self) -> list[str]:
        """Return the limited costs, `size_bytes` and `latency_ms` first."""
        if self._budget is None:
            return ["num_params"]
        order = ("size_bytes", "latency_ms", *QUANTITIES)
        return [n for n in dict.fromkeys(order) if n in self._budget.limits]

    def _measured(self, names: list[str]) -> list[Candidate]:
        """Return the trained trials; measure the named costs they lack."""
        found = []
        for candidate in self.candidates():
            if candidate.status != "feasible":
                continue
            missing = [n for n in names if getattr(candidate, n) is None]
            if missing:
                candidate = self._measure_now(candidate, missing)
            found.append(candidate)
        return found

    def _measure_now(self, candidate: Candidate, names: list[str]) -> Candidate:
        wanted = Wanted(dict.fromkeys(names))
        if self._budget is not None:
            wanted = dataclasses.replace(
                self._budget.wanted(), limits=wanted.limits
            )
        trial = self._oracle.get_trial(candidate.trial_id)
        student = self._hypermodel.student(trial.hyperparameters)
        costs = self._ledger.get(student, wanted)
        return dataclasses.replace(candidate, **costs.to_dict())

    def _row(self, candidate: Candidate, names: list[str]) -> tuple[float, ...]:
        """Return the values to minimize: the costs, then the objective."""
        value = candidate.objective
        value = math.inf if value is None else float(value)
        sign = -1.0 if self._oracle.objective.direction == "max" else 1.0
        return (*(float(getattr(candidate, n)) for n in names), sign * value)


def _nothing_kept(
    candidates: list[Candidate], limits: Mapping[str, float]
) -> str:
    smallest = "; ".join(
        f"the smallest {name} is {min(getattr(c, name) for c in candidates):,}"
        for name in limits
    )
    return (
        "`best_student` needs limits that a trained student keeps: "
        f"{smallest}. Received: {dict(limits)}."
    )
