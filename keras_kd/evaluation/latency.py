"""Time of one example: by the LiteRT runtime's own tool, or by hand."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

# The tool writes milliseconds with two decimals.
_RESOLUTION_MS = 0.1
_WARM_UP_RUNS = 10
_LIMIT_SECONDS = 60.0
_BENCHMARK = "ai_edge_litert.tools.benchmark_litert_model"


class Latency(NamedTuple):
    """Median and 95th percentile in milliseconds, and what took them."""

    p50_ms: float
    p95_ms: float
    source: str


def file_latency(path: Path, num_runs: int, num_threads: int) -> Latency:
    """Time one example of a `.tflite` file.

    By `litert-benchmark` where it serves, else by the interpreter's
    `invoke`; the source says which.
    """
    from ai_edge_litert.interpreter import Interpreter

    measured = litert_benchmark(path, num_threads, num_runs)
    if measured is not None:
        return measured
    runtime = Interpreter(str(path), num_threads=num_threads)
    runtime.allocate_tensors()
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
        `None` where it does not serve: it is not installed, fails, takes
        more than a minute, or the model is faster than 0.1 ms, which the
        tool's two decimals cannot show.
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
    """Time a call: ten to warm up, then `num_runs`, or a minute of them."""
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
    """Word a number of threads."""
    return f"{count} thread" if count == 1 else f"{count} threads"
