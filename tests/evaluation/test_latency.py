import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_kd.evaluation import latency


def _tool(monkeypatch, times=None, error=None):
    seen = {}

    def run(command, **options):
        seen.update(command=command, **options)
        if error is not None:
            raise error
        report = next(c for c in command if c.startswith("--result_json="))
        content = json.dumps({"latency": times})
        Path(report.partition("=")[2]).write_text(content)

    monkeypatch.setattr(subprocess, "run", run)
    return seen


def test_the_tools_figures_and_its_settings(monkeypatch):
    seen = _tool(monkeypatch, {"median_ms": 1.5, "p95_ms": 2.25})
    got = latency.litert_benchmark(Path("m.tflite"), 2, 30)
    assert got == (1.5, 2.25, "litert-benchmark, 2 threads")
    assert seen["command"][0] == sys.executable
    assert {"--model=m.tflite", "--num_threads=2", "--num_runs=30"} <= set(
        seen["command"]
    )
    assert seen["timeout"] == 60.0


@pytest.mark.parametrize(
    ("times", "error"),
    [
        pytest.param({"median_ms": 0.01, "p95_ms": 0.01}, None, id="coarse"),
        pytest.param({}, None, id="other-report"),
        pytest.param(None, subprocess.TimeoutExpired("x", 1), id="time"),
        pytest.param(None, subprocess.CalledProcessError(-6, "x"), id="crash"),
        pytest.param(None, FileNotFoundError(), id="missing"),
    ],
)
def test_where_the_tool_does_not_serve(monkeypatch, times, error):
    _tool(monkeypatch, times, error)
    assert latency.litert_benchmark(Path("m.tflite"), 1, 30) is None


def test_timed_counts_runs_and_milliseconds():
    calls = []

    def run():
        calls.append(1)
        time.sleep(0.002)

    got = latency.timed(run, 20, "here")
    assert len(calls) == 30
    assert 2.0 <= got.p50_ms <= got.p95_ms < 200
    assert got.source == "here"
    assert latency.threads(1) == "1 thread"
