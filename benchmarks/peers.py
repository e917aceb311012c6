"""Steps and epochs of ours and of the peers, on three pairs, in one run.

What is compared alternates in one process, and the minimum over the rounds
counts. PyTorch's threads sleep while they wait (`OMP_WAIT_POLICY=PASSIVE`):
turning, they would disturb what runs beside them. Memory, imports and the
first step are measured in a process of their own for each way. Writes
`benchmarks/results/peers.json`; stopped, the same call goes on.

    python benchmarks/peers.py [--rounds 7] [--again]
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import record
from peer_pairs import PAIRS
from peer_pairs import Pair
from peer_ways import Epoch
from peer_ways import KerasWays
from peer_ways import TorchWays

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
KERAS = (
    "student_alone",
    "teacher_forward",
    "ours_live",
    "ours_cached",
    "keras_distillation",
    "keras_io",
)
TORCH = ("torch_student_alone", "torch_teacher_forward", "torch_live")
NAMES = {
    "student_alone": "student alone",
    "teacher_forward": "teacher forward",
    "ours_live": "`keras_kd`, live",
    "ours_cached": "`keras_kd`, cached",
    "keras_distillation": "`keras.distillation`, loss corrected",
    "keras_io": "recipe of keras.io",
    "torch_student_alone": "PyTorch, student alone",
    "torch_teacher_forward": "PyTorch, teacher forward",
    "torch_live": "PyTorch, live",
}
# What a program imports that trains one way.
IMPORTS = {
    "ours_live": "import keras, keras_kd; keras_kd.Distiller",
    "ours_cached": "import keras, keras_kd; keras_kd.Distiller",
    "keras_distillation": "import keras.distillation",
    **dict.fromkeys(TORCH, "import torch"),
}


def epoch_of(pair: Pair, way: str) -> Epoch:
    """Return a function that trains an epoch in one way."""
    ways = TorchWays if way in TORCH else KerasWays
    made: Epoch = getattr(ways(pair), way)()
    return made


def epochs(pair: Pair, rounds: int) -> dict[str, float]:
    """Seconds of an epoch in each way, all in this process."""
    keras, torch = KerasWays(pair), TorchWays(pair)
    jobs = {way: getattr(keras, way)() for way in KERAS}
    jobs |= {way: getattr(torch, way)() for way in TORCH}
    return record.minima(jobs, rounds)


def alone(pair: Pair, way: str) -> dict[str, float]:
    """Import, first step and memory of one way, in a process of its own.

    The first step is the first epoch of one batch, with what it traces; a
    cache is built before. Memory is the most after three epochs.
    """
    start = time.perf_counter()
    exec(IMPORTS.get(way, "import keras"))
    imported = time.perf_counter() - start
    first = epoch_of(pair._replace(steps=1), way)
    start = time.perf_counter()
    first()
    stepped = time.perf_counter() - start
    epoch = epoch_of(pair, way)
    for _ in range(3):
        epoch()
    return {
        "import_seconds": imported,
        "first_step_seconds": stepped,
        "peak_mb": peak_mb(),
    }


def peak_mb() -> float:
    """Return the most memory that this process has had, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def in_own_process(name: str, way: str) -> dict[str, float]:
    """Run `alone` in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--alone", name, way],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def ratios(seconds: dict[str, float]) -> dict[str, float]:
    """Return what the epochs of a pair are compared by."""
    parts = seconds["student_alone"] + seconds["teacher_forward"]
    live = seconds["ours_live"]
    return {
        "live / (student alone + teacher forward)": live / parts,
        "live / keras.distillation": live / seconds["keras_distillation"],
        "live / keras.io": live / seconds["keras_io"],
        "cached / student alone": seconds["ours_cached"]
        / seconds["student_alone"],
        "student alone: TensorFlow / PyTorch": seconds["student_alone"]
        / seconds["torch_student_alone"],
        "live / PyTorch": live / seconds["torch_live"],
    }


def main() -> None:
    """Measure what is missing, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--again", action="store_true", help="measure all anew")
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        name, way = given.alone
        print(json.dumps(alone(PAIRS[name], way)))
        return
    settings = {
        "rounds": given.rounds,
        "pairs": {
            name: [pair.batch, pair.steps] for name, pair in PAIRS.items()
        },
    }
    if given.again:
        record.forget("peers")
    jobs: dict[str, Callable[[], Any]] = {}
    for name, pair in PAIRS.items():
        jobs[name] = functools.partial(epochs, pair, given.rounds)
        for way in (*KERAS, *TORCH):
            jobs[f"{name}, {way}"] = functools.partial(
                in_own_process, name, way
            )
    cells = record.resumed("peers", settings, jobs)
    for name in PAIRS:
        print(name)
        for what, ratio in ratios(cells[name]).items():
            print(f"  {what:42} {ratio:.3f}")


if __name__ == "__main__":
    main()
