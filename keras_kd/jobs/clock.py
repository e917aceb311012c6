"""The time that a job has."""

import time
from collections.abc import Callable

import keras


class Clock:
    """Counts from when it was made.

    Args:
        minutes: The time there is; `None` for no limit.
        now: Returns the time in seconds.

    Attributes:
        reserve: Seconds to keep for what comes after training.

    Example:
    >>> from keras_kd.jobs.clock import Clock
    >>> clock = Clock(minutes=10)
    >>> 590 < clock.left() <= 600, clock.is_over(0.5)
    (True, False)
    """

    def __init__(
        self,
        minutes: float | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reserve = 0.0
        self._limit = None if minutes is None else 60 * minutes
        self._now = now
        self._started = now()

    def seconds(self) -> float:
        """Return the seconds since it was made."""
        return self._now() - self._started

    def left(self) -> float | None:
        """Return the seconds that are left; `None` if there is no limit."""
        return None if self._limit is None else self._limit - self.seconds()

    def is_over(self, share: float) -> bool:
        """Return whether a share of the time before the reserve has passed."""
        if self._limit is None:
            return False
        return self.seconds() >= share * (self._limit - self.reserve)


class StopInTime(keras.callbacks.Callback):
    """Ends a training after the step in which its time is over.

    Keras still validates the model, so that its objective is known.

    Args:
        clock: The job's clock.
        share: Share of the time at which the training ends.
    """

    def __init__(self, clock: Clock, share: float) -> None:
        super().__init__()
        self._clock = clock
        self._share = share

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """Stop if the time is over."""
        if self._clock.is_over(self._share):
            self.model.stop_training = True
