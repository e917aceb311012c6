"""What every benchmark writes beside its numbers."""

import datetime
import json
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def environment() -> dict[str, Any]:
    """Return machine, versions and commit."""
    import keras
    import numpy
    import tensorflow

    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {
        "date": datetime.date.today().isoformat(),
        "commit": commit,
        "machine": f"{_cores()} cores, {platform.machine()}, "
        f"{platform.system()}",
        "python": platform.python_version(),
        "tensorflow": tensorflow.__version__,
        "keras": keras.__version__,
        "numpy": numpy.__version__,
    }


def minima(
    jobs: dict[str, Callable[[], object]], rounds: int
) -> dict[str, float]:
    """Run all jobs in turn, `rounds` times, and keep each one's minimum."""
    return minima_with_cpu(jobs, rounds)[0]


def minima_with_cpu(
    jobs: dict[str, Callable[[], object]], rounds: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Return each job's least seconds of wall clock, and of processors.

    On a machine that does other work, those of processors swing less.
    """
    for job in jobs.values():  # trace and warm up
        job()
    wall = dict.fromkeys(jobs, float("inf"))
    cpu = dict.fromkeys(jobs, float("inf"))
    for _ in range(rounds):
        for name, job in jobs.items():
            start = time.perf_counter(), time.process_time()
            job()
            wall[name] = min(wall[name], time.perf_counter() - start[0])
            cpu[name] = min(cpu[name], time.process_time() - start[1])
    return wall, cpu


def read(name: str) -> dict[str, Any]:
    """Return what was written last, empty where nothing was."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def write(name: str, results: dict[str, Any]) -> Path:
    """Write `benchmarks/results/<name>.json` and return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    content = {"environment": environment(), **results}
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path


def forget(name: str) -> None:
    """Remove what was written, so that all is measured anew."""
    (RESULTS / f"{name}.json").unlink(missing_ok=True)


def resumed(
    name: str,
    settings: dict[str, Any],
    jobs: dict[str, Callable[[], Any]],
    *,
    keep: bool = True,
) -> dict[str, Any]:
    """Run each job once, and write its result at once.

    A later call with the same settings runs only the jobs that are missing,
    so that a long benchmark may be stopped.

    Args:
        name: Name of the file of results.
        settings: What the results depend on, as JSON values; results of
            other settings are dropped.
        jobs: A function by the name of its cell.
        keep: Whether to read and write the file at all.

    Returns:
        The result of each job.
    """
    before = read(name) if keep else {}
    cells = before.get("cells", {}) if before.get("of") == settings else {}
    for cell, job in jobs.items():
        if cell in cells:
            continue
        start = time.perf_counter()
        cells[cell] = job()
        seconds = time.perf_counter() - start
        print(f"{cell}: {cells[cell]} ({seconds:.1f} s)", flush=True)
        if keep:
            write(name, {"of": settings, "cells": cells})
    return {cell: cells[cell] for cell in jobs}


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0))
