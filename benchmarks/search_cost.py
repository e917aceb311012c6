"""What a search costs beyond the training of its students.

Two settings of 12 trials. With a teacher of ten times the students' cost, by
`StudentTuner`, which caches the live teacher, and by KerasTuner with
`keras.distillation`. And with trials of some seconds, still far shorter than
real ones, by `StudentTuner` from a cache, with and without a budget of bytes,
and the 12 students alone, by `fit`, in a cleared session each. What is
compared alternates, and the minimum of each trial counts, because medians
swing twofold on shared machines. Writes `benchmarks/results/search_cost.json`.

    python benchmarks/search_cost.py [--rounds 3] [--live-rounds 1]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import record
from search_jobs import BATCH
from search_jobs import HELD_OUT
from search_jobs import IMAGES
from search_jobs import SIDE
from search_jobs import TRIALS
from search_jobs import Searches
from teacher_cache import convnet

import keras_kd
from keras_kd.search.measurements import Measurements

Job = Callable[[], list[float]]
HEAVY_TEACHER = {"filters": 8, "teacher_filters": 116, "epochs": 5}
LONGER_TRIALS = {"filters": 16, "teacher_filters": 32, "epochs": 10}


def alternate(jobs: dict[str, Job], rounds: int) -> dict[str, float]:
    """Run jobs in turn; return the sum of each trial's minimum."""
    laps: dict[str, list[list[float]]] = {name: [] for name in jobs}
    for number in range(rounds):
        for name, job in jobs.items():
            laps[name].append(job())
            print(
                f"round {number}: {name} {sum(laps[name][-1]):.1f} s",
                flush=True,
            )
    return {
        name: float(np.min(found, axis=0).sum()) for name, found in laps.items()
    }


def mobilenet() -> Any:
    """A deep student: 52 convolutions, each with a normalization."""
    return keras.applications.MobileNetV2(
        (32, 32, 3),
        0.35,
        weights=None,
        classes=10,
        classifier_activation=None,
    )


def decisions() -> dict[str, float]:
    """Seconds to decide about students over budget, and a second time.

    One is far too large, which its weights tell; the others take a
    conversion, by a converter that starts (`cold`) or is up (`warm`, and
    `deep` for a MobileNet).
    """
    budget = keras_kd.Budget(
        size_bytes=450_000, peak_memory_bytes=1, quantization="int8"
    )
    seconds = {}

    def decide(name: str, student: Any, ledger: Any) -> None:
        start = time.perf_counter()
        try:
            budget.check(student, ledger)
        except keras_kd.OverBudgetError:
            seconds[name] = time.perf_counter() - start
        else:
            raise RuntimeError(f"{name} fits")

    with (
        tempfile.TemporaryDirectory() as folder,
        Measurements(Path(folder) / "measurements.json") as ledger,
    ):
        decide("far_over", convnet(256, "student"), ledger)
        decide("cold", convnet(10, "student"), ledger)
        decide("warm", convnet(11, "student"), ledger)
        decide("deep", mobilenet(), ledger)
        decide("again", convnet(10, "student"), ledger)
        decide("deep_again", mobilenet(), ledger)
    return seconds


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--live-rounds", type=int, default=1)
    given = parser.parse_args()
    each = [decisions() for _ in range(given.rounds)]
    decided = {name: min(row[name] for row in each) for name in each[0]}
    worst = {name: max(row[name] for row in each) for name in each[0]}
    heavy = Searches(**HEAVY_TEACHER)
    cost = heavy.cost(given.rounds)
    print(f"the teacher costs {cost:.1f} epochs of the widest student")
    seconds = alternate(
        {
            "StudentTuner, live teacher": lambda: heavy.ours(heavy.teacher),
            "KerasTuner, keras.distillation": heavy.kerastuner,
        },
        given.live_rounds,
    )
    longer = Searches(**LONGER_TRIALS)
    size = keras_kd.Budget(size_bytes=10**6, quantization="int8")
    seconds |= alternate(
        {
            "StudentTuner, cache": lambda: longer.ours(longer.cache),
            "StudentTuner, cache and budget": lambda: longer.ours(
                longer.cache, budget=size
            ),
            "students alone": longer.students,
        },
        given.rounds,
    )
    for name, value in seconds.items():
        print(f"  {name:34} {value:8.2f} s, {value / TRIALS:6.2f} a trial")
    alone = seconds["students alone"]
    found = {
        "live teacher / KerasTuner, keras.distillation": (
            seconds["StudentTuner, live teacher"]
            / seconds["KerasTuner, keras.distillation"],
            1 / 3,
        ),
        "overhead of a trial over its student alone": (
            seconds["StudentTuner, cache"] / alone - 1,
            0.15,
        ),
        "the same, each new architecture measured": (
            seconds["StudentTuner, cache and budget"] / alone - 1,
            0.15,
        ),
        **{
            f"seconds to decide, {name}": (
                value,
                0.010 if name.endswith("again") else 5.0,
            )
            for name, value in decided.items()
        },
    }
    for name, (value, limit) in found.items():
        verdict = "met" if value <= limit else "MISSED"
        print(f"  {name:48} {value:8.4f}  (at most {limit:.3f}: {verdict})")
    path = record.write(
        "search_cost",
        {
            "what": f"{TRIALS} trials, {IMAGES} images {SIDE}x{SIDE}x1 and "
            f"{HELD_OUT} for validation, batch {BATCH}; sum of each trial's "
            f"minimum over {given.rounds} alternating rounds "
            f"({given.live_rounds} of those with a live teacher)",
            "with_a_live_teacher": HEAVY_TEACHER,
            "the_others": LONGER_TRIALS,
            "teacher_cost_in_student_epochs": cost,
            "seconds": seconds,
            "seconds_to_decide": {"minimum": decided, "maximum": worst},
            "ratios": {
                name: {"ratio": value, "limit": limit}
                for name, (value, limit) in found.items()
            },
        },
    )
    print(f"written: {path.name}")


if __name__ == "__main__":
    main()
