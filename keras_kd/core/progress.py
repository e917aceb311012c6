"""Progress of a long job: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextlib import contextmanager
from contextlib import nullcontext
from typing import TYPE_CHECKING
from typing import Any
from typing import TextIO

if TYPE_CHECKING:
    import keras

_SECONDS_BETWEEN_LINES = 10.0
# Earlier, most of the time went into the first step, which traces.
_TELLING_SHARE = 0.1


class Stage:
    """One named part of a job, with a known number of steps."""

    def __init__(self, label: str, total: int, stream: TextIO) -> None:
        self.label = label
        self.total = max(int(total), 1)
        self.note = ""
        self._stream = stream
        self._started = time.perf_counter()
        self._printed = self._started
        self._bar: Any = None
        self._task: Any = None

    def show_on(self, bar: Any) -> None:
        """Draw this stage as a line of a `rich.progress.Progress`."""
        self._bar = bar
        self._task = bar.add_task(self.label, total=self.total, note="")

    def reach(self, step: int, note: str = "") -> None:
        """Show that `step` of the stage's steps are done.

        Args:
            step: Steps done since the stage began, at most `total`.
            note: A few words shown at the end of the line, such as the
                accuracy so far. An empty note keeps the previous one.
        """
        self.note = note or self.note
        if self._bar is not None:
            self._bar.update(self._task, completed=step, note=self.note)
            return
        now = time.perf_counter()
        done = step / self.total
        if 0 < done < 1 and now - self._printed > _SECONDS_BETWEEN_LINES:
            left = ""
            if done > _TELLING_SHARE:
                rest = (now - self._started) * (1 - done) / done
                left = f"{duration(rest)} left"
            self._print(f"{done:.0%}", left, self.note)
            self._printed = now

    def finish(self) -> None:
        """Show that every step is done, and how long they took."""
        self.reach(self.total)
        if self._bar is None:
            seconds = time.perf_counter() - self._started
            self._print(f"done in {duration(seconds)}", self.note)

    def callback(self, steps_per_epoch: int) -> "keras.callbacks.Callback":
        """Return a Keras callback that shows the progress of `fit`.

        The note is the last epoch's validation accuracy or, if `fit` does
        not measure it, the training accuracy or the loss.
        """
        import keras

        epochs_done = 0

        def on_train_batch_end(batch: int, logs: Any) -> None:
            self.reach(epochs_done * steps_per_epoch + batch + 1)

        def on_epoch_end(epoch: int, logs: Any) -> None:
            nonlocal epochs_done
            epochs_done = epoch + 1
            self.reach(epochs_done * steps_per_epoch, _last_metric(logs))

        return keras.callbacks.LambdaCallback(
            on_train_batch_end=on_train_batch_end, on_epoch_end=on_epoch_end
        )

    def _print(self, *parts: str) -> None:
        text = ", ".join(part for part in parts if part)
        self._stream.write(f"{self.label}: {text}\n")
        self._stream.flush()


class Progress:
    """Shows the stages of a job on a stream, by default standard error.

    On a terminal each stage is a bar with the time left. Elsewhere a stage
    prints a plain line every ten seconds and when it ends.

    Args:
        stream: The stream to write to. Defaults to standard error, so that
            standard output contains only results.

    Example:
    >>> import io
    >>> from keras_kd.core.progress import Progress
    >>> stream = io.StringIO()
    >>> with Progress(stream) as progress:
    ...     with progress.stage("teacher", total=3) as stage:
    ...         for step in range(3):
    ...             stage.reach(step + 1, f"{step + 1} of 3")
    >>> print(stream.getvalue())
    teacher: done in 0.0 s, 3 of 3
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._bar: Any = None
        self._screen: AbstractContextManager[Any] = nullcontext()

    def __enter__(self) -> "Progress":
        if self._stream.isatty():
            self._bar = self._screen = _rich_bar(self._stream)
        self._screen.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._screen.__exit__(*exception)

    @contextmanager
    def stage(self, label: str, total: int = 1) -> Iterator[Stage]:
        """Open a stage; it is finished when the block ends without error."""
        stage = Stage(label, total, self._stream)
        if self._bar is not None:
            stage.show_on(self._bar)
        yield stage
        stage.finish()


def duration(seconds: float) -> str:
    """Return a time in the units a person would use.

    Example:
    >>> from keras_kd.core.progress import duration
    >>> duration(4.25), duration(75), duration(7300)
    ('4.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _rich_bar(stream: TextIO) -> Any:
    from rich import progress
    from rich.console import Console
    from rich.table import Column

    # On a narrow terminal only the note at the end is shortened.
    def whole() -> Column:
        return Column(no_wrap=True, min_width=8)

    return progress.Progress(
        progress.TextColumn("{task.description}", table_column=whole()),
        progress.BarColumn(bar_width=12),
        progress.TaskProgressColumn(table_column=Column(min_width=4)),
        progress.TimeElapsedColumn(table_column=whole()),
        progress.TimeRemainingColumn(
            elapsed_when_finished=False, table_column=whole()
        ),
        progress.TextColumn(
            "{task.fields[note]}",
            table_column=Column(no_wrap=True, overflow="ellipsis"),
        ),
        console=Console(file=stream),
    )


def _last_metric(logs: Any) -> str:
    """Return an epoch's accuracy or loss as text, validation first."""
    logs = logs or {}
    words = {
        "val_accuracy": "validation accuracy",
        "accuracy": "training accuracy",
        "loss": "loss",
    }
    for name, shown in words.items():
        if name in logs:
            return f"{shown} {float(logs[name]):.4f}"
    return ""
