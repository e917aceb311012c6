"""A stage is plain lines in a pipe and a bar with time left on a terminal."""

import io

import pytest

from keras_kd.core import progress as module
from keras_kd.core.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock the test turns by hand."""
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    return now


def test_a_pipe_gets_one_line_at_the_end_of_a_short_stage(clock):
    stream = io.StringIO()
    with Progress(stream) as progress, progress.stage("teacher", 2) as stage:
        clock[0] = 1.0
        stage.reach(1, "accuracy 0.5")
        clock[0] = 2.5
    assert stream.getvalue() == "teacher: done in 2.5 s, accuracy 0.5\n"


def test_a_pipe_gets_the_time_left_of_a_long_stage(clock):
    stream = io.StringIO()
    with Progress(stream) as progress, progress.stage("teacher", 4) as stage:
        clock[0] = 15.0
        stage.reach(1)
        clock[0] = 16.0
        stage.reach(2)
    lines = stream.getvalue().splitlines()
    # A quarter took 15 s, so three quarters take 45 s.
    assert lines == ["teacher: 25%, 45 s left", "teacher: done in 16 s"]


def test_a_failed_stage_is_not_called_done():
    stream = io.StringIO()
    with (
        pytest.raises(ValueError, match="stop"),
        Progress(stream) as progress,
        progress.stage("teacher", 2),
    ):
        raise ValueError("stop")
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar_with_the_note():
    stream = Terminal()
    with Progress(stream) as progress, progress.stage("teacher", 2) as stage:
        stage.reach(1, "accuracy 0.5")
    text = stream.getvalue()
    assert "teacher" in text
    assert "100%" in text
    assert "accuracy 0.5" in text


def test_times_are_whole_on_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with Progress(stream) as progress:
        with progress.stage("search", 2) as stage:
            stage.reach(1, "a note that is far too long for the line " * 3)
        with progress.stage("load back and measure"):
            pass
    text = stream.getvalue()
    assert "0:00:00" in text
    assert "0:00…" not in text
    assert "0:…" not in text


def test_the_callback_counts_the_steps_of_fit(monkeypatch):
    import keras
    import numpy as np

    reached = []
    monkeypatch.setattr(
        module.Stage, "reach", lambda _, step, note="": reached.append(step)
    )
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", loss="mse")
    with Progress(io.StringIO()) as progress, progress.stage("fit", 6) as stage:
        model.fit(
            np.zeros((12, 3)),
            np.zeros((12, 2)),
            batch_size=4,
            epochs=2,
            verbose=0,
            callbacks=[stage.callback(steps_per_epoch=3)],
        )
    # Each step, each epoch's end, and the end of the stage.
    assert reached == [1, 2, 3, 3, 4, 5, 6, 6, 6]
