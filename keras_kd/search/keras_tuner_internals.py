"""The private names of KerasTuner that a search relies on.

They are used only here, except for the methods and attributes of KerasTuner's
oracles, which the oracles of this package inherit.
`tests/search/test_keras_tuner_internals.py` lists all of them, and says what
breaks when a name disappears.
"""

import threading
from contextlib import AbstractContextManager
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner.src import protos
from keras_tuner.src.distribute import utils as environment
from keras_tuner.src.distribute.oracle_chief import OracleServicer
from keras_tuner.src.distribute.oracle_client import OracleClient
from keras_tuner.src.engine import oracle as library
from keras_tuner.src.engine import tuner_utils
from keras_tuner.src.engine.metrics_tracking import MetricsTracker
from keras_tuner.src.engine.objective import DefaultObjective
from keras_tuner.src.engine.objective import create_objective
from keras_tuner.src.engine.trial import Trial
from keras_tuner.src.tuners.gridsearch import LinkedList

__all__ = [
    "DefaultObjective",
    "LinkedList",
    "MetricsTracker",
    "OracleClient",
    "OracleServicer",
    "Trial",
    "Tuner",
    "create_objective",
    "environment",
    "metrics_of",
    "protos",
    "unlock",
]


class Tuner(keras_tuner.Tuner):
    """KerasTuner's tuner, with public names for the private parts in use."""

    executions_per_trial: int
    tuner_id: str

    @property
    def state_file(self) -> Path:
        """The file that `save` writes; a tuner that finds it reloads."""
        return Path(self._get_tuner_fname())

    def weights_file(self, trial_id: str) -> Path:
        """Return the file with the weights of a trial's best epoch."""
        return Path(self._get_checkpoint_fname(trial_id))

    def declare_space(self) -> None:
        """Build students until every hyperparameter is declared."""
        self._populate_initial_space()

    def distributed(self) -> AbstractContextManager[Any]:
        """Return the scope of the tuner's strategy."""
        strategy = self.distribution_strategy
        return nullcontext() if strategy is None else strategy.scope()

    def callbacks_of(self, trial: Any, execution: int, given: Any) -> list[Any]:
        """Return copies of a user's callbacks, for one execution of a trial.

        A TensorBoard callback gets its own folder and the hyperparameters.
        """
        copies = keras.tree.flatten(self._deepcopy_callbacks(given))
        callbacks = list(copies)
        self._configure_tensorboard_dir(callbacks, trial, execution)
        return callbacks

    def hooks_of(self, trial: Any) -> keras.callbacks.Callback:
        """Return the callback that calls the tuner's `on_epoch_end` etc."""
        return tuner_utils.TunerCallback(self, trial)


def metrics_of(result: Any, objective: Any) -> dict[str, float]:
    """Return the metrics of a training run's best epoch.

    Args:
        result: A `History`, a dictionary or a float.
        objective: The search's objective.

    Raises:
        FatalError: If `result` does not contain the objective.
    """
    tuner_utils.validate_trial_results(result, objective, "HyperModel.fit()")
    found = tuner_utils.convert_to_metrics_dict(result, objective)
    return {name: float(value) for name, value in found.items()}


def unlock(oracle: Any) -> None:
    """Release the lock that KerasTuner keeps when a call raises."""
    if library.THREADS[oracle] == threading.current_thread().name:
        library.THREADS[oracle] = None
        library.LOCKS[oracle].release()
