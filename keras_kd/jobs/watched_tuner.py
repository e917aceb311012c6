"""A search that shows its progress."""

from typing import Any

from keras_kd.core.progress import Stage
from keras_kd.search import StudentTuner


class WatchedTuner(StudentTuner):
    """A `StudentTuner` that shows its epochs as the steps of a stage."""

    _stage: Stage | None = None
    _per_trial = 1
    _epochs = 0

    def steps(self, epochs: int) -> int:
        """Return the epochs of the whole search, if it trains every trial."""
        self._per_trial = epochs * self.executions_per_trial
        return self.oracle.max_trials * self._per_trial

    def watch(self, stage: Stage) -> None:
        """Show the progress of the search on a stage."""
        self._stage = stage
        self._show()

    def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
        """Count the epoch."""
        super().on_epoch_end(*args, **kwargs)
        self._epochs += 1
        self._show()

    def on_trial_end(self, trial: Any) -> None:
        """Show the trial's result."""
        super().on_trial_end(trial)
        self._epochs = 0
        self._show()

    def _show(self) -> None:
        if self._stage is None:
            return
        results = [c for c in self.results if c.status != "running"]
        over = sum(c.status == "infeasible" for c in results)
        reached = [c.objective for c in results if c.objective is not None]
        note = f"{len(results)} trials, {over} over budget"
        if reached:
            note += f", best {max(reached):.1%}"
        # A Hyperband trial may have fewer epochs.
        within = min(self._epochs, self._per_trial - 1)
        self._stage.reach(len(results) * self._per_trial + within, note)
