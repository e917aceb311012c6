"""An oracle whose state on disk is whole at any moment."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.src.engine import oracle as library
from keras_tuner.src.engine.trial import Trial

from keras_kd.search.oracles import generators
from keras_kd.search.oracles import identity
from keras_kd.search.oracles import state


class SavedOracle(keras_tuner.Oracle):
    """Writes and reads the state of an oracle; put before its own class.

    `oracle.json` holds everything, all trials included, in two generations.
    A call that changes the state is one write of it: what a killed process
    leaves is the state before the call or after it, never one between. The
    `trial.json` of each trial is a copy for other programs. `search.json`
    says which search this is, and a changed one is not gone on with.
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

    def attach(self, budget: Any, seed: int | None) -> None:
        """Take the place of an `__init__`, which is the oracle's own."""
        self.budget = budget
        self.seed_given = seed
        self._guard = threading.RLock()

    def update_space(self, hyperparameters: Any) -> None:
        """Add hyperparameters to the space."""
        self.space_declared = True
        super().update_space(hyperparameters)

    def get_state(self) -> dict[str, Any]:
        """Return all that a later process needs, trials included."""
        return super().get_state() | {
            "trials": [trial.get_state() for trial in self.trials.values()],
            "generators": generators.states(self),
        }

    def set_state(self, content: dict[str, Any]) -> None:
        """Take over what `get_state` returned."""
        trials = map(Trial.from_state, content["trials"])
        self.trials = {trial.trial_id: trial for trial in trials}
        super().set_state(content)
        generators.restore(self, content["generators"])

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
                _unlock(self)
                raise
            finally:
                self._deferring = False
            if self._unsaved:
                self.save()


def _unlock(oracle: SavedOracle) -> None:
    """Let go of the lock that KerasTuner keeps when a call raises."""
    if library.THREADS[oracle] == threading.current_thread().name:
        library.THREADS[oracle] = None
        library.LOCKS[oracle].release()
