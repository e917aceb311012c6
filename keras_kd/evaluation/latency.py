"""Measures the time of one example, with LiteRT's own tool if possible."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_kd.evaluation.runtimes.litert import allocate
from keras_kd.evaluation.runtimes.litert import open_interpreter

# Below this, the two decimals of the tool's milliseconds are too few.
_RESOLUTION_MS = 0.1
_WARM_UP_RUNS = 10
_LIMIT_SECONDS = 60.0
_BENCHMARK = "ai_edge_litert.tools.benchmark_litert_model"


class Latency(NamedTuple):
    """Median and 95th percentile in milliseconds, and how they were taken."""

    p50_ms: float
    p95_ms: float
    source: str


def file_latency(path: Path, num_runs: int, num_threads: int) -> Latency:
    """Time one example of a `.tflite` file.

    Uses `litert-benchmark` if that works, otherwise the interpreter's
    `invoke`; the `source` of the result says which.
    """
    measured = litert_benchmark(path, num_threads, num_runs)
    if measured is not None:
        return measured
    runtime = open_interpreter(model_path=str(path), num_threads=num_threads)
    allocate(runtime)
    for detail in runtime.get_input_details():
        zeros = np.zeros(detail["shape"], detail["dtype"])
        runtime.set_tensor(detail["index"], zeros)
    source = f"LiteRT interpreter, {threads(num_threads)}"
    return timed(runtime.invoke, num_runs, source)


def litert_benchmark(
    path: Path, num_threads: int, num_runs: int
) -> Latency | None:
    """Run the runtime's `litert-benchmark` on a `.tflite` file.

    Returns:
        The latency; `None` if the tool is not installed, fails or takes more
        than a minute, or if the model takes less than 0.1 ms, for which the
        tool's two decimals are too coarse.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        options = {
            "model": path,
            "num_runs": num_runs,
            "warmup_runs": _WARM_UP_RUNS,
            "num_threads": num_threads,
            "result_json": report,
        }
        command = [sys.executable, "-m", _BENCHMARK]
        command += [f"--{name}={value}" for name, value in options.items()]
        try:
            subprocess.run(
                command,
                check=True,
                timeout=_LIMIT_SECONDS,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            times = json.loads(report.read_text())["latency"]
            p50, p95 = float(times["median_ms"]), float(times["p95_ms"])
        except (subprocess.SubprocessError, OSError, ValueError, KeyError):
            return None
    if p50 < _RESOLUTION_MS:
        return None
    return Latency(p50, p95, f"litert-benchmark, {threads(num_threads)}")


def timed(run: Callable[[], object], num_runs: int, source: str) -> Latency:
    """Time a call: ten warm-up runs, then `num_runs` or those of a minute."""
    for _ in range(_WARM_UP_RUNS):
        run()
    seconds: list[float] = []
    end = time.perf_counter() + _LIMIT_SECONDS
    while len(seconds) < num_runs and time.perf_counter() < end:
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    p50, p95 = np.percentile(np.array(seconds) * 1e3, (50, 95))
    return Latency(float(p50), float(p95), source)


def threads(count: int) -> str:
    """Return a number of threads in words."""
    return f"{count} thread" if count == 1 else f"{count} threads"
