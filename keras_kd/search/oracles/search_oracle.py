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

# Value of `_probe` while the trial that tries the smallest student has no ID.
_NEXT = "next"


class SearchOracle(keras_tuner.Oracle):
    """Base class that makes a KerasTuner oracle resumable and budget-aware.

    `make_oracle` mixes it into the oracle's class. The oracle's own class
    still proposes the trials. This class adds:

    - `oracle.json` holds the whole state, all trials included, in two
      generations. A call that changes the state writes the file once: a
      killed process leaves the state from before or after the call, never
      one in between. Each trial's `trial.json` is a copy for other programs.
      `search.json` describes the search; a changed search is refused.
    - A trial whose `"violation"` metric is above 0 is complete. It scores
      below every student that fits (`scoring.constrained_scores`), and is
      scored again whenever another trial ends. It does not count as a
      failure and is never among the best.
    - The trial of a worker that died can be handed out again (`release`).
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
        """Set what an `__init__` would; the oracle already ran its own."""
        self.budget = budget
        self.seed_given = seed
        self._guard = threading.RLock()

    def update_space(self, hyperparameters: Any) -> None:
        """Add hyperparameters to the space."""
        self.space_declared = True
        super().update_space(hyperparameters)

    def create_trial(self, tuner_id: str) -> Any:
        """Return the next trial, a trial to repeat, or why there is none.

        The status is `"IDLE"` instead of `"STOPPED"` while another worker's
        trial is running: if that worker dies, this one takes over its trial.

        Raises:
            OverBudgetError: If no student of the first round, or of the
                whole search, fits the budget.
        """
        with self._one_write():
            self._check_budget(over=False)
            trial = super().create_trial(tuner_id)
            if trial.status == "RUNNING":
                # A repeated trial may have metrics from the run that was
                # killed before its end.
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
        """End a trial and save the state.

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
        """Tell whether a worker may continue a trial.

        It may if the trial is assigned to it. It may also take back a trial
        that is waiting to be handed out again, because the chief restarted
        or did not hear from the worker for a while.
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
        """Do nothing: outside a worker, a trial is never taken away."""

    def score_trial(self, trial: Any) -> None:
        """Score a trial, and rescore every student over budget."""
        if scoring.is_infeasible(trial):
            trial.score = np.nan  # Set by `_score_infeasible` below.
            if not trial.message:
                trial.message = self._reason(trial)
        else:
            super().score_trial(trial)
            if not np.isfinite(trial.score):
                # KerasTuner only retries NaN, and its Bayesian search treats
                # an infinite loss as a loss of 0.
                trial.message = f"{self.objective.name} is {trial.score}."
                trial.score = np.nan
        self._score_infeasible()

    def _random_values(self) -> Any:
        """Return random values, or, once, those of the smallest student."""
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
        """Return the best trials whose students fit, at most `num_trials`."""
        return scoring.best(self.trials.values(), self.objective)[:num_trials]

    def set_epochs(self, epochs: int) -> None:
        """Take the epochs of `search`, for oracles that plan with them."""

    def get_state(self) -> dict[str, Any]:
        """Return everything a later process needs, trials included."""
        return super().get_state() | {
            "trials": [trial.get_state() for trial in self.trials.values()],
            "generators": generators.states(self),
            "probe": self._probe,
            "failures": self._failures,
        }

    def set_state(self, content: dict[str, Any]) -> None:
        """Restore the state that `get_state` returned."""
        trials = map(Trial.from_state, content["trials"])
        self.trials = {trial.trial_id: trial for trial in trials}
        super().set_state(content)
        generators.restore(self, content["generators"])
        self._probe = content["probe"]
        self._failures = content["failures"]

    def save(self) -> None:
        """Write the state; inside `_one_write`, wait until its end."""
        if self._deferring:
            self._unsaved = True
            return
        folder = Path(self._project_dir)
        if self._declared is None:
            self._declared = self.hyperparameters.get_config()["space"]
        # Keep only the declared space: the next session will not declare the
        # hyperparameters that trials added.
        description = identity.describe(self) | {"space": self._declared}
        if description != self._identity:
            state.write_json(folder / identity.SEARCH, description)
            self._identity = description
        state.write_generations(folder / state.ORACLE, self.get_state())

    def reload(self) -> None:
        """Read the state back; interrupted trials are handed out again.

        Hyperparameters declared since the last session are added.

        Raises:
            FileNotFoundError: If the folder holds no state.
            RuntimeError: If the state cannot be read.
            ValueError: If the state belongs to another search; names what
                differs.
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
            # KerasTuner pops from the end: the oldest trial goes first.
            running = [trial.trial_id for trial in self.ongoing_trials.values()]
            self._retry_queue += sorted(running, reverse=True)
            self.ongoing_trials = {}

    def _completed(self, trial: Any) -> Any:
        """Return a worker's trial with the values that were handed out.

        The protocol sorts the space by type and rounds floats. So only
        hyperparameters that the trial itself declared are read from it.
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
            over: Whether the search has ended.
        """
        if self.budget is None:
            return
        probe = self.trials.get(self._probe or "")
        probed = probe is not None and scoring.is_infeasible(probe)
        if over or probed:
            first_round.check(self.budget, list(self.trials.values()), over)

    def _check_consecutive_failures(self) -> None:
        """Record the failure that ends the search; `end_trial` raises it.

        KerasTuner raises before the state is written and counts over the
        whole search, so a search that ended this way could not be resumed.
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
        """Fill in missing values with the seed, which KerasTuner ignores."""
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
        """Delete the folder of an earlier trial with this ID.

        Such a folder is left when the newest state was damaged and an older
        one was read. If its values are the same, its files are kept.
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

        A call that raises writes nothing, so the old state stays on disk.
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
