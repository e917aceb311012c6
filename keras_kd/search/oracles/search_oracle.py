"""KerasTuner's oracles, made safe to kill and aware of a budget."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np

from keras_kd.core.checks import nearest
from keras_kd.search.keras_tuner_internals import MetricsTracker
from keras_kd.search.keras_tuner_internals import Trial
from keras_kd.search.keras_tuner_internals import unlock
from keras_kd.search.oracles import first_round
from keras_kd.search.oracles import generators
from keras_kd.search.oracles import identity
from keras_kd.search.oracles import scoring
from keras_kd.search.oracles import state

# The trial that is being made looks for the smallest student.
_NEXT = "next"


class SearchOracle(keras_tuner.Oracle):
    """What every oracle of a search does, put before its own class.

    Made by `make_oracle`. Proposals are those of the oracle's own class.
    Added to them:

    - `oracle.json` holds everything, all trials included, in two generations.
      A call that changes the state is one write of it: what a killed process
      leaves is the state before the call or after it, never one between. The
      `trial.json` of each trial is a copy for other programs. `search.json`
      says which search this is; a changed one is refused.
    - A trial whose `"violation"` metric is above 0 is complete, and scored
      below every student that fits (`scoring.constrained_scores`), again
      whenever another trial ends. It is no failure, and never among the best.
    - Trials of a worker that died can be handed out again (`release`).
    """

    algorithm: type
    trials: dict[str, Any]
    ongoing_trials: dict[str, Any]
    budget: Any = None
    seed_given: int | None = None
    space_declared = False
    arguments_from_search: tuple[str, ...] = ()
    _deferring = False
    _unsaved = False
    _identity: dict[str, Any] | None = None
    _declared: list[Any] | None = None
    _probe: str | None = None
    _failures = 0
    _failure: Exception | None = None

    def attach(self, budget: Any, seed: int | None) -> None:
        """Take the place of an `__init__`, which is the oracle's own."""
        self.budget = budget
        self.seed_given = seed
        self._guard = threading.RLock()

    def update_space(self, hyperparameters: Any) -> None:
        """Add hyperparameters to the space."""
        self.space_declared = True
        super().update_space(hyperparameters)

    def create_trial(self, tuner_id: str) -> Any:
        """Return the next trial, the one to do again, or why there is none.

        `"STOPPED"` is `"IDLE"` as long as another worker's trial runs: if
        that worker dies, someone must be there to take it over.

        Raises:
            OverBudgetError: If no student of the first round, or of the
                whole search, fits the budget.
        """
        with self._one_write():
            self._check_budget(over=False)
            trial = super().create_trial(tuner_id)
            if trial.status == "RUNNING":
                # Of a run that was killed between its metrics and its end.
                trial.metrics = MetricsTracker()
                trial.score, trial.best_step, trial.message = None, 0, None
                if self._probe == _NEXT:
                    self._probe = trial.trial_id
            elif trial.status == "STOPPED" and self.ongoing_trials:
                trial.status = "IDLE"
                self.tuner_ids.add(tuner_id)
            elif trial.status == "STOPPED":
                self._check_budget(over=True)
        return trial

    def populate_space(self, trial_id: str) -> Any:
        """Return the values of a new trial."""
        response = self._propose(trial_id)
        if response["status"] == "RUNNING":
            self._clear_remains(trial_id, response["values"])
        return response

    def _propose(self, trial_id: str) -> Any:
        """Return the values of a new trial, from the oracle's own class."""
        return super().populate_space(trial_id)

    def update_trial(self, trial_id: str, metrics: Any, step: int = 0) -> Any:
        """Add metrics to a trial."""
        with self._one_write():
            return super().update_trial(trial_id, metrics, step)

    def end_trial(self, trial: Any) -> None:
        """End a trial, and say so on disk.

        Raises:
            OverBudgetError: If no student of the first round fits.
            RuntimeError: If too many trials failed, one after the other.
        """
        with self._one_write():
            super().end_trial(self._completed(trial))
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        self._check_budget(over=False)

    def release(self, tuner_id: str) -> str | None:
        """Forget a worker, and hand its trial out again.

        Returns:
            The ID of the trial, if the worker had one.
        """
        with self._one_write():
            self.tuner_ids.discard(tuner_id)
            trial = self.ongoing_trials.pop(tuner_id, None)
            if trial is None:
                return None
            self._retry_queue.append(trial.trial_id)
            self.save()
        name: str = trial.trial_id
        return name

    def adopt(self, tuner_id: str, trial_id: str) -> bool:
        """Tell whether a worker may go on with a trial.

        It may when the trial is its own, and when it was, and waits to be
        handed out again: the chief was started anew, or did not hear the
        worker for a while.
        """
        with self._one_write():
            owned = self.ongoing_trials.get(tuner_id)
            if owned is not None:
                mine: bool = owned.trial_id == trial_id
                return mine
            if trial_id not in self._retry_queue:
                return False
            self._retry_queue.remove(trial_id)
            self.ongoing_trials[tuner_id] = self.trials[trial_id]
            self.tuner_ids.add(tuner_id)
            self.save()
        return True

    def check(self, trial_id: str) -> None:
        """Raise if a trial is not this process's any more: never here."""

    def score_trial(self, trial: Any) -> None:
        """Score a trial, and every student over budget in relation to it."""
        if scoring.is_infeasible(trial):
            trial.score = np.nan  # Until it is set below.
            if not trial.message:
                trial.message = self._reason(trial)
        else:
            super().score_trial(trial)
            if not np.isfinite(trial.score):
                # KerasTuner retries NaN only, and Bayesian search takes an
                # infinite loss for a loss of 0.
                trial.message = f"{self.objective.name} is {trial.score}."
                trial.score = np.nan
        self._score_infeasible()

    def _random_values(self) -> Any:
        """Return random values, or once those of the smallest student."""
        if self._probe is not None or self.budget is None:
            return super()._random_values()
        trials = list(self.trials.values())
        values = first_round.smallest(self.hyperparameters, trials)
        if values is None:
            return super()._random_values()
        if self._duplicate(values):
            hashed = self._compute_values_hash(values)
            seen = [key for key, of in self._id_to_hash.items() if of == hashed]
            self._probe = next(iter(seen), None)
            return super()._random_values()
        self._probe = _NEXT
        return values

    def get_best_trials(self, num_trials: int = 1) -> list[Any]:
        """Return the best trials whose students fit; fewer if there are."""
        return scoring.best(self.trials.values(), self.objective)[:num_trials]

    def set_epochs(self, epochs: int) -> None:
        """Take the epochs of `search` where the oracle needs to know them."""

    def get_state(self) -> dict[str, Any]:
        """Return all that a later process needs, trials included."""
        return super().get_state() | {
            "trials": [trial.get_state() for trial in self.trials.values()],
            "generators": generators.states(self),
            "probe": self._probe,
            "failures": self._failures,
        }

    def set_state(self, content: dict[str, Any]) -> None:
        """Take over what `get_state` returned."""
        trials = map(Trial.from_state, content["trials"])
        self.trials = {trial.trial_id: trial for trial in trials}
        super().set_state(content)
        generators.restore(self, content["generators"])
        self._probe = content["probe"]
        self._failures = content["failures"]

    def save(self) -> None:
        """Write the state, once for all changes of a call."""
        if self._deferring:
            self._unsaved = True
            return
        folder = Path(self._project_dir)
        if self._declared is None:
            self._declared = self.hyperparameters.get_config()["space"]
        # What trials brought in is not what the next session will declare.
        description = identity.describe(self) | {"space": self._declared}
        if description != self._identity:
            state.write_json(folder / identity.SEARCH, description)
            self._identity = description
        state.write_generations(folder / state.ORACLE, self.get_state())

    def reload(self) -> None:
        """Read the state back; trials that ran are handed out again.

        Hyperparameters declared since then are added.

        Raises:
            FileNotFoundError: If there is none.
            RuntimeError: If it cannot be read.
            ValueError: If it is that of another search; names what differs.
        """
        with self._guard:
            folder = Path(self._project_dir)
            content = state.read_generations(folder / state.ORACLE)
            stored = identity.read(folder)
            identity.check(stored, self, content["hyperparameters"]["space"])
            state.quarantine(folder)
            declared = self.hyperparameters
            if self._declared is None:
                self._declared = identity.union(
                    stored["space"], declared.get_config()["space"]
                )
            self.set_state(content)
            self.hyperparameters.merge(declared, overwrite=False)
            # Popped from the end: the oldest goes first.
            running = [trial.trial_id for trial in self.ongoing_trials.values()]
            self._retry_queue += sorted(running, reverse=True)
            self.ongoing_trials = {}

    def _completed(self, trial: Any) -> Any:
        """Return a worker's trial with its values as they were handed out.

        The protocol sorts the space by type, and rounds: only what the trial
        declared itself is taken from it.
        """
        known = self.trials[trial.trial_id]
        if trial is known:
            return trial
        given, kept = trial.hyperparameters, known.hyperparameters.copy()
        new = [
            hp for hp in given.space if not kept._exists(hp.name, hp.conditions)
        ]
        kept.merge(new)
        for hp in new:
            if hp.name in given.values:
                kept.values[hp.name] = given.values[hp.name]
        trial.hyperparameters = kept
        return trial

    def _score_infeasible(self) -> None:
        trials = list(self.trials.values())
        infeasible = [t for t in trials if scoring.is_infeasible(t)]
        scores = scoring.constrained_scores(
            [
                t.score
                for t in trials
                if scoring.is_feasible(t) and np.isfinite(t.score)
            ],
            [scoring.violation(t) for t in infeasible],
            self.objective.direction,
        )
        for trial, score in zip(infeasible, scores, strict=True):
            trial.score = score

    def _reason(self, trial: Any) -> str:
        metrics = scoring.measured(trial)
        reason = self.budget.reason(metrics) if self.budget else ""
        return reason or f"{scoring.violation(trial):.0%} over the budget"

    def _check_budget(self, *, over: bool) -> None:
        """Raise if no student fits.

        Args:
            over: Whether there will be no more trials.
        """
        if self.budget is None:
            return
        probe = self.trials.get(self._probe or "")
        probed = probe is not None and scoring.is_infeasible(probe)
        if over or probed:
            first_round.check(self.budget, list(self.trials.values()), over)

    def _check_consecutive_failures(self) -> None:
        """Note that the search has to end, once this is on disk.

        KerasTuner raises before the write, and counts from the beginning: a
        search that had ended so could never go on.
        """
        trial = self.trials[self.end_order[-1]]
        if trial.status == "FAILED":
            self._failures += 1
        elif not scoring.is_infeasible(trial):
            self._failures = 0
        if self._failures >= self.max_consecutive_failed_trials:
            self._failures = 0
            self._failure = RuntimeError(
                f"{self.max_consecutive_failed_trials} trials failed, one "
                f"after the other. The last one:\n{trial.message or ''}"
            )

    def _check_objective_found(self, metrics: Any) -> None:
        parts = getattr(self.objective, "objectives", [self.objective])
        for name in (part.name for part in parts):
            if name not in metrics:
                raise keras_tuner.errors.FatalValueError(
                    f"The objective {name!r} is not logged. Logged: "
                    f"{', '.join(sorted(metrics))}. "
                    f"{nearest(name, metrics)}"
                )

    def _record_values(self, trial: Any) -> None:
        """Record the values; KerasTuner fills in missing ones unseeded."""
        hps = trial.hyperparameters
        for hp in hps.space:
            if hps.is_active(hp) and hp.name not in hps.values:
                hps.values[hp.name] = hp.random_sample(self._seed_state)
                self._seed_state += 1
        super()._record_values(trial)

    def _save_trial(self, trial: Any) -> None:
        path = Path(self._get_trial_dir(trial.trial_id)) / "trial.json"
        state.write_json(path, trial.get_state())

    def _clear_remains(self, trial_id: str, values: dict[str, Any]) -> None:
        """Delete the folder of another trial that had this ID.

        The state went back to before it: the newest was damaged. What a
        trial with these very values has saved is of use.
        """
        folder = Path(self._project_dir) / f"trial_{trial_id}"
        if not folder.exists():
            return
        try:
            kept = state.read_json(folder / "trial.json")["hyperparameters"]
        except (FileNotFoundError, ValueError):
            kept = {}
        before = kept.get("values", {})
        if any(before.get(name) != value for name, value in values.items()):
            shutil.rmtree(folder)

    @contextmanager
    def _one_write(self) -> Iterator[None]:
        """Let one thread in, and write all its changes at the end.

        A call that raises writes nothing: the state before it stays.
        """
        with self._guard:
            self._deferring, self._unsaved = True, False
            try:
                yield
            except BaseException:
                unlock(self)
                raise
            finally:
                self._deferring = False
            if self._unsaved:
                self.save()
