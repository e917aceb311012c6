"""Saves a trial's training after each epoch, so that it can be resumed."""

import math
import numbers
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np

from keras_kd.core.checks import nearest
from keras_kd.search.trials import snapshots
from keras_kd.search.trials.snapshots import Snapshot

_EPOCH = "epoch"


class TrialCheckpoint(keras.callbacks.Callback):
    """Saves a training run after each epoch, and resumes a saved run.

    Keras' `BackupAndRestore` saves neither dropout seeds, nor the state of
    other callbacks, nor the best epoch, and a process killed between its two
    writes leaves a backup that does not load. This callback saves all of it
    to one file. It must be the last callback, so that it sees what the
    others decided.

    Args:
        path: The file.
        objective: The `keras_tuner.Objective` that ranks the epochs.
        others: The other callbacks, which run before this one.
        identity: Identifies the training run; a file with another identity
            is ignored.
        strict: Whether the first epoch must log the objective.
    """

    def __init__(
        self,
        path: Path,
        objective: Any,
        others: list[Any],
        *,
        identity: str = "",
        strict: bool = True,
    ) -> None:
        super().__init__()
        self._path = path
        self.objective = objective
        self._others = others
        self._strict = strict
        saved = Snapshot.load(path)
        if saved is None or saved.identity != identity:
            saved = Snapshot(identity=identity)
        self.progress = saved

    def begin(self, model: keras.Model, initial_epoch: int) -> None:
        """Restore the saved state of a model.

        Args:
            model: A compiled and built model.
            initial_epoch: The first epoch, if nothing was saved yet.
        """
        if self.progress.now:
            snapshots.restore(model, self.progress.now)
        else:
            self.progress.epoch = initial_epoch

    def on_train_begin(self, logs: Any = None) -> None:
        """Restore the state of the other callbacks."""
        same = {
            index: callback
            for index, callback in enumerate(self._others)
            if index < len(self.progress.callbacks)
            and self.progress.callbacks[index]["class"] == _class(callback)
        }
        for index, callback in same.items():
            vars(callback).update(self.progress.callbacks[index]["numbers"])
        for name, arrays in self.progress.arrays.items():
            place, attribute = name.split(":", 1)
            if int(place) in same:
                setattr(same[int(place)], attribute, arrays)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save the progress."""
        progress = self.progress
        logs = {name: float(value) for name, value in (logs or {}).items()}
        self._check_objective(logs)
        progress.logs.append({**logs, _EPOCH: epoch})
        progress.epoch = epoch + 1
        progress.now = snapshots.take(self.model)
        if self._improves(logs):
            progress.best_epoch = epoch
            progress.best = progress.now
        progress.stopped = bool(self.model.stop_training)
        progress.callbacks = [
            {"class": _class(other), "numbers": _numbers(other)}
            for other in self._others
        ]
        progress.arrays = {
            f"{index}:{name}": arrays
            for index, other in enumerate(self._others)
            for name, arrays in _array_lists(other)
        }
        progress.save(self._path)

    def record(self, model: keras.Model, logs: dict[str, float]) -> None:
        """Record the result of a `HyperModel.fit` that returned no history.

        Args:
            model: The trained model.
            logs: Its metrics.
        """
        progress = self.progress
        progress.logs = [{**logs, _EPOCH: 0}]
        if self.objective.has_value(logs):
            progress.best_value = float(self.objective.get_value(logs))
        progress.now = snapshots.take(model)
        progress.best = progress.best or progress.now

    def finish(self) -> None:
        """Mark the run as finished; call it once the best weights are saved."""
        self.progress.finished = True
        self.progress.save(self._path)

    def discard(self) -> None:
        """Delete the progress of a run that failed."""
        self._path.unlink(missing_ok=True)

    def history(self) -> keras.callbacks.History:
        """Return the logs of every epoch, including those before a restart.

        Epochs whose objective is missing or NaN are left out, unless there
        are no others.
        """
        logs = self.progress.logs
        scored = [
            epoch
            for epoch in logs
            if self.objective.has_value(epoch)
            and not math.isnan(self.objective.get_value(epoch))
        ]
        history = keras.callbacks.History()
        history.history = {}
        for epoch in scored or logs:
            for name, value in epoch.items():
                if name != _EPOCH:
                    history.history.setdefault(name, []).append(value)
        return history

    def _improves(self, logs: dict[str, float]) -> bool:
        """Tell whether an epoch is the best so far, and record its objective.

        If no epoch logs the objective, the last epoch is the best.
        """
        if not self.objective.has_value(logs):
            return self.progress.best_value is None
        value = float(self.objective.get_value(logs))
        if math.isnan(value):
            return not self.progress.best
        best = self.progress.best_value
        if best is None or self.objective.better_than(value, best):
            self.progress.best_value = value
            return True
        return False

    def _check_objective(self, logs: dict[str, float]) -> None:
        if not self._strict or self.progress.logs:
            return
        if self.objective.has_value(logs):
            return
        wanted = getattr(self.objective, "name_to_direction", None)
        names = [n for n in wanted or [self.objective.name] if n not in logs]
        advice = nearest(names[0], logs)
        if names[0].startswith("val_") and "val_loss" not in logs:
            advice = "Give `validation_data` to `search`."
        raise keras_tuner.errors.FatalValueError(
            "`StudentTuner` needs `objective` to be a logged value, one of "
            f"{', '.join(map(repr, sorted(logs)))}. Received: "
            f"objective={names[0]!r}. {advice}".rstrip()
        )


def _class(callback: Any) -> str:
    return type(callback).__name__


def _numbers(callback: Any) -> dict[str, Any]:
    """Return a callback's numeric attributes, such as its best value."""
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in vars(callback).items()
        if value is None or isinstance(value, (np.bool_, numbers.Real))
    }


def _array_lists(callback: Any) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yield a callback's lists of arrays, such as the best weights."""
    for name, value in vars(callback).items():
        if (
            isinstance(value, list)
            and value
            and all(isinstance(array, np.ndarray) for array in value)
        ):
            yield name, value
