"""The benchmarks of losses run, in their short form, and write nothing."""

import json
import os
import re

import pytest
from benchmark_scripts import FOLDER
from benchmark_scripts import imported
from processes import run_program

from keras_kd.losses import METHODS


def quick(name, *arguments):
    """Run a benchmark in its short form and return what it printed."""
    before = {path: path.stat() for path in (FOLDER / "results").iterdir()}
    done = run_program(FOLDER / f"{name}.py", "--quick", *arguments)
    assert {path: path.stat() for path in before} == before
    assert set((FOLDER / "results").iterdir()) == set(before)
    return done.stdout


@pytest.mark.slow
def test_loss_cost():
    """It also compares each loss's value with PyTorch's."""
    printed = quick("loss_cost")
    with imported("method_rows") as rows:
        named = [name for name in rows.COMPARED if rows.peer(name)]
    assert len(named) >= 17
    for name in named:
        assert re.search(rf"^  {name} .* ms", printed, re.MULTILINE)


@pytest.mark.slow
def test_losses_digits():
    printed = quick("losses_digits")
    assert "student alone" in printed
    assert "hint + soft_targets" in printed


@pytest.mark.slow
def test_defaults(tmp_path):
    printed = quick("defaults", "--folder", tmp_path)
    assert "digits: labels alone" in printed
    assert "alpha 0.9, T 4, warm-up" in printed
    again = quick("defaults", "--folder", tmp_path)
    told = [re.search(r"teacher (\S+)", text)[1] for text in (printed, again)]
    assert told[0] == told[1], "the teacher stays in the folder"


@pytest.mark.slow
def test_mlperf_tiny():
    pytest.importorskip("tflite_micro")
    if "KERAS_KD_MLPERF_TINY" not in os.environ:
        pytest.skip("KERAS_KD_MLPERF_TINY names no folder")
    printed = quick("mlperf_tiny")
    for row in ("labels alone", "under wide", "search", "searched"):
        assert f"spoken_digit_compact / {row}" in printed
    limits = re.search(r"'arena_bytes': (\d+)", printed)
    searched = re.search(r"/ searched / 0: .*'arena': (\d+)", printed)
    assert int(searched[1]) <= int(limits[1])


@pytest.fixture
def record(tmp_path, monkeypatch):
    with imported("record") as module:
        monkeypatch.setattr(module, "RESULTS", tmp_path)
        yield module


def test_a_stopped_benchmark_goes_on(record, tmp_path):
    ran = []

    def job(name, stop=False):
        def run():
            if stop:
                raise KeyboardInterrupt
            ran.append(name)
            return len(name)

        return run

    jobs = {"a": job("a"), "bb": job("bb", stop=True)}
    with pytest.raises(KeyboardInterrupt):
        record.resumed("cells", {"steps": 1}, jobs)
    jobs["bb"] = job("bb")
    assert record.resumed("cells", {"steps": 1}, jobs) == {"a": 1, "bb": 2}
    assert ran == ["a", "bb"]
    written = json.loads((tmp_path / "cells.json").read_text())
    assert written["cells"] == {"a": 1, "bb": 2}
    record.resumed("cells", {"steps": 2}, jobs)
    assert ran == ["a", "bb", "a", "bb"], "other settings, other results"


@pytest.mark.slow
def test_every_method_has_a_row_or_needs_none():
    with imported("method_rows") as rows:
        assert set(rows.ROWS) <= set(METHODS)
        for name in rows.COMPARED:
            names = [loss.name for loss in rows.narrower(name, 64)]
            assert names[-1] == rows.equal_widths(name).name == name
            assert (len(names) == 2) == (rows.layer(name) is not None)
