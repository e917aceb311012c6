"""A search that shows its progress, and ends in time."""

from collections.abc import Callable
from typing import Any

from keras_kd.core.progress import Stage
from keras_kd.search import StudentTuner


class WatchedTuner(StudentTuner):
    """A `StudentTuner` that shows its epochs and may end before its trials."""

    _stage: Stage | None = None
    _per_trial = 1
    _epochs = 0
    _all_count = True
    _is_over: Callable[[int], bool] = staticmethod(lambda trained: False)

    def steps(self, epochs: int, trials: int | None = None) -> int:
        """Return the epochs of the whole search.

        Args:
            epochs: Epochs of a training.
            trials: Number of students to train, if those over the budget do
                not count; by default every trial counts.
        """
        self._per_trial = epochs * self.executions_per_trial
        self._all_count = trials is None
        return (trials or self.oracle.max_trials) * self._per_trial

    def watch(
        self, stage: Stage, is_over: Callable[[int], bool] | None = None
    ) -> None:
        """Show the progress of the search on a stage.

        Args:
            stage: The stage.
            is_over: Whether the search ends, asked after each trial with the
                number of students that were trained, at least 1.
        """
        self._stage = stage
        self._is_over = is_over or self._is_over
        self._show()

    def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
        """Count the epoch."""
        super().on_epoch_end(*args, **kwargs)
        self._epochs += 1
        self._show()

    def on_trial_end(self, trial: Any) -> None:
        """Show the trial's result, and end the search if its time is over."""
        super().on_trial_end(trial)
        self._epochs = 0
        trained = sum(c.status == "feasible" for c in self.results)
        if trained and self._is_over(trained):
            self.oracle.max_trials = len(self.oracle.trials)
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
        done = len(results) if self._all_count else len(reached)
        self._stage.reach(done * self._per_trial + within, note)
