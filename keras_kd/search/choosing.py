"""What a finished search gives: its trials, the front, the best student."""

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import NamedTuple

import keras
import keras_tuner

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_number
from keras_kd.core.files import write_text
from keras_kd.search import pareto
from keras_kd.search.candidate import Candidate
from keras_kd.search.cost.measurement import QUANTITIES
from keras_kd.search.cost.measurement import Wanted
from keras_kd.search.trials import running

RULES = ("best", "knee")
_ALL = 10**9


class HeldOutResult(NamedTuple):
    """What the reported best reaches on data the search has not seen.

    Attributes:
        trial_id: The trial.
        mean: Each metric's mean over the executions.
        spread: Their standard deviations, with n - 1; empty for one.
        executions: The metrics of each.
    """

    trial_id: str
    mean: dict[str, float]
    spread: dict[str, float]
    executions: list[dict[str, float]]


class Choosing(keras_tuner.Tuner):
    """A KerasTuner tuner whose trials can be chosen among by their costs."""

    @property
    def results(self) -> list[Candidate]:
        """Every trial, in the order of their start."""
        trials = getattr(self.oracle, "trials", None)
        listed = (
            # A worker asks its chief.
            self.oracle.get_best_trials(_ALL)
            if trials is None
            else trials.values()
        )
        name = self.oracle.objective.name
        started = getattr(self.oracle, "start_order", [])
        places = {trial_id: place for place, trial_id in enumerate(started)}
        return [
            Candidate.of(trial, name, self.budget)
            for trial in sorted(
                listed,
                key=lambda trial: (
                    places.get(trial.trial_id, len(places)),
                    trial.trial_id,
                ),
            )
        ]

    @property
    def test_result(self) -> HeldOutResult | None:
        """What `search(test_data=...)` or `evaluate_best` found last."""
        path = self._test_file
        if not path.exists():
            return None
        return HeldOutResult(**json.loads(path.read_text("utf-8")))

    def pareto_front(self, *by: str) -> list[Candidate]:
        """Return the trials that no other trial beats in everything.

        A trial is on the front when each other one has a worse objective or
        costs more. What was not measured during the search is measured now.

        Args:
            *by: The costs that count beside the objective: `"size_bytes"`,
                `"latency_ms"`, `"num_params"`, `"flops"`,
                `"peak_memory_bytes"`. Defaults to those the budget limits,
                `"num_params"` without one.

        Returns:
            Feasible trials, the first cost rising.

        Raises:
            ValueError: If a cost is unknown.
        """
        names = self._costs(by)
        candidates = self._measured(names)
        rows = pareto.front([self._row(c, names) for c in candidates])
        return [candidates[row] for row in rows]

    def best_candidate(
        self,
        rule: str = "best",
        *,
        max_bytes: float | None = None,
        max_latency_ms: float | None = None,
    ) -> Candidate:
        """Return the trial that `best_student` takes.

        Args:
            rule: `"best"` for the best objective, of equal ones the one
                that costs least; `"knee"` for the point of the Pareto front
                where more costs buy least.
            max_bytes: Most `size_bytes`.
            max_latency_ms: Most `latency_ms`.

        Raises:
            ValueError: If no trained trial keeps the limits.
        """
        check_choice("best_student", "rule", rule, RULES)
        given = {"size_bytes": max_bytes, "latency_ms": max_latency_ms}
        limits = {k: v for k, v in given.items() if v is not None}
        for name, limit in limits.items():
            check_number("best_student", name, limit, above=0)
        names = list(dict.fromkeys([*limits, *self._costs(())]))
        candidates = self._measured(names)
        kept = [
            candidate
            for candidate in candidates
            if all(getattr(candidate, k) <= v for k, v in limits.items())
        ]
        if not kept:
            raise ValueError(self._nothing(candidates, limits))
        rows = [self._row(candidate, names) for candidate in kept]
        if rule == "best":
            best = min(range(len(rows)), key=lambda i: (rows[i][-1], rows[i]))
            return kept[best]
        front = pareto.front(rows)
        return kept[front[pareto.knee([rows[i] for i in front])]]

    def best_student(
        self,
        rule: str = "best",
        *,
        max_bytes: float | None = None,
        max_latency_ms: float | None = None,
    ) -> keras.Model:
        """Return the trained student of a trial, ready to export.

        Args:
            rule: See `best_candidate`.
            max_bytes: Most bytes of its file.
            max_latency_ms: Most milliseconds for one example.

        Raises:
            ValueError: If no trained trial keeps the limits.
        """
        chosen = self.best_candidate(
            rule, max_bytes=max_bytes, max_latency_ms=max_latency_ms
        )
        trial = self.oracle.get_trial(chosen.trial_id)
        student: keras.Model = self.load_model(trial).student
        return student

    def evaluate_best(self, data: Any, **kwargs: Any) -> HeldOutResult:
        """Evaluate the best trial on data that the search has not seen.

        Each of its executions is evaluated, at its best epoch. The result is
        kept in the project folder, and is what `test_result` gives.

        Args:
            data: A data set, or a tuple `(x, y)` of arrays.
            **kwargs: Arguments of `keras.Model.evaluate`.
        """
        chosen = self.best_candidate()
        trial = self.oracle.get_trial(chosen.trial_id)
        distiller = self.load_model(trial)
        arguments = data if isinstance(data, tuple) else (data,)
        found = []
        for execution in range(self.executions_per_trial):
            distiller.load_weights(
                running.weights_file(self, chosen.trial_id, execution)
            )
            found.append(
                distiller.evaluate(
                    *arguments, return_dict=True, **{"verbose": 0, **kwargs}
                )
            )
        result = HeldOutResult(chosen.trial_id, *_mean_and_spread(found), found)
        write_text(self._test_file, json.dumps(result._asdict(), indent=1))
        return result

    def get_best_models(self, num_models: int = 1) -> list[Any]:
        """Return the Distillers of the best trials, at their best epochs.

        Args:
            num_models: How many.

        Raises:
            ValueError: If nothing was trained.
        """
        if not any(c.status == "feasible" for c in self.results):
            raise ValueError(self._nothing([], {}))
        models: list[Any] = super().get_best_models(num_models)
        return models

    @property
    def _test_file(self) -> Path:
        return Path(self.project_dir) / "test_result.json"

    def _costs(self, by: tuple[str, ...]) -> list[str]:
        for name in by:
            check_choice("pareto_front", "by", name, QUANTITIES)
        if by:
            return list(by)
        if self.budget is None:
            return ["num_params"]
        order = ("size_bytes", "latency_ms", *QUANTITIES)
        return [n for n in dict.fromkeys(order) if n in self.budget.limits]

    def _measured(self, names: list[str]) -> list[Candidate]:
        """Return the trained trials, with every named cost."""
        found = []
        for candidate in self.results:
            if candidate.status != "feasible":
                continue
            missing = [n for n in names if getattr(candidate, n) is None]
            if missing:
                candidate = self._measure_now(candidate, missing)
            found.append(candidate)
        return found

    def _measure_now(self, candidate: Candidate, names: list[str]) -> Candidate:
        wanted = Wanted(dict.fromkeys(names))
        if self.budget is not None:
            wanted = dataclasses.replace(
                self.budget.wanted(), limits=dict.fromkeys(names)
            )
        trial = self.oracle.get_trial(candidate.trial_id)
        student = self.hypermodel.student(trial.hyperparameters)
        found = self.measurements.get(student, wanted)
        return candidate.with_costs(found.to_dict())

    def _row(self, candidate: Candidate, names: list[str]) -> tuple[float, ...]:
        """Return what is to be small: the costs, then the objective."""
        value = candidate.objective
        value = math.inf if value is None else float(value)
        sign = -1.0 if self.oracle.objective.direction == "max" else 1.0
        return (*(float(getattr(candidate, n)) for n in names), sign * value)

    def _nothing(
        self, candidates: list[Candidate], limits: Mapping[str, float]
    ) -> str:
        statuses = [candidate.status for candidate in self.results]
        counts = ", ".join(
            f"{statuses.count(status)} {status}"
            for status in sorted(set(statuses))
        )
        if not candidates:
            return (
                "The search has no trained student. Received: "
                f"{counts or 'no trials'}. Call `search`, or raise the budget."
            )
        smallest = "; ".join(
            f"the smallest {name} is "
            f"{min(getattr(c, name) for c in candidates):,}"
            for name in limits
        )
        return (
            "`best_student` needs limits that a trained student keeps: "
            f"{smallest}. Received: {dict(limits)}."
        )


def _mean_and_spread(
    found: list[dict[str, float]],
) -> tuple[dict[str, float], dict[str, float]]:
    columns = {name: [float(row[name]) for row in found] for name in found[0]}
    mean = {name: statistics.fmean(v) for name, v in columns.items()}
    if len(found) == 1:
        return mean, {}
    return mean, {name: statistics.stdev(v) for name, v in columns.items()}
