"""What a search costs beyond the training of its students.

Three parts. `live`: 12 trials with a teacher of ten times the students' cost,
by `StudentTuner`, which caches the live teacher, and by KerasTuner with
`keras.distillation`. `overhead`: 12 trials of some seconds, still far shorter
than real ones, by `StudentTuner` from a cache, with and without a budget of
bytes, and the 12 students alone, by `fit`, in a cleared session each; students
of some 20 ms a step, as in `teacher_cache.py`. `decisions`: how long a student
over the budget takes. What is compared alternates, and the minimum of each
trial counts, because medians swing twofold on shared machines. Writes
`benchmarks/results/search_cost.json`; parts that are not run stay as they are
there.

    python benchmarks/search_cost.py [PART ...] [--rounds 3]
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
from keras_kd.export.conversion import converter
from keras_kd.search.cost.ledger import Ledger

Job = Callable[[], list[float]]
HEAVY_TEACHER = {"filters": 8, "teacher_filters": 116, "epochs": 5}
LONGER_TRIALS = {"filters": 32, "teacher_filters": 32, "epochs": 5}
LIVE, OVERHEAD, DECIDED, AGAIN = 1 / 3, 1.10, 5.0, 0.010


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


def live(rounds: int) -> dict[str, Any]:
    """Search with a teacher that is no cache; against KerasTuner alone."""
    searches = Searches(**HEAVY_TEACHER)
    cost = searches.cost(3)
    print(f"the teacher costs {cost:.1f} epochs of the widest student")
    seconds = alternate(
        {
            "StudentTuner": lambda: searches.ours(searches.teacher),
            "KerasTuner, keras.distillation": searches.kerastuner,
        },
        rounds,
    )
    ratio = seconds["StudentTuner"] / seconds["KerasTuner, keras.distillation"]
    return {
        "setting": HEAVY_TEACHER,
        "teacher_cost_in_student_epochs": cost,
        "seconds": seconds,
        "ratios": judged("StudentTuner / KerasTuner", ratio, LIVE),
    }


def overhead(rounds: int) -> dict[str, Any]:
    """Search from a cache; against the students alone."""
    searches = Searches(**LONGER_TRIALS)
    size = keras_kd.Budget(size_bytes=10**6, quantization="int8")
    seconds = alternate(
        {
            "cache": lambda: searches.ours(searches.cache),
            "cache, budget": lambda: searches.ours(searches.cache, budget=size),
            "alone": searches.students,
        },
        rounds,
    )
    ratios: dict[str, Any] = {}
    for job in ("cache", "cache, budget"):
        ratio = seconds[job] / seconds["alone"]
        ratios |= judged(f"{job} / alone", ratio, OVERHEAD)
    return {
        "setting": LONGER_TRIALS,
        "seconds": seconds,
        "seconds_a_trial_alone": seconds["alone"] / TRIALS,
        "ratios": ratios,
    }


def decisions(rounds: int) -> dict[str, Any]:
    """Decide about students over the budget."""
    each = [decided() for _ in range(rounds)]
    least = {name: min(row[name] for row in each) for name in each[0]}
    ratios: dict[str, Any] = {}
    for name, value in least.items():
        limit = AGAIN if name.endswith("again") else DECIDED
        ratios |= judged(f"seconds, {name}", value, limit)
    most = {name: max(row[name] for row in each) for name in each[0]}
    return {"seconds": {"minimum": least, "maximum": most}, "ratios": ratios}


def judged(name: str, value: float, limit: float) -> dict[str, Any]:
    """Print and return a figure with its limit."""
    verdict = "met" if value <= limit else "MISSED"
    print(f"  {name:28} {value:8.4f} (at most {limit:.3f}: {verdict})")
    return {name: {"value": value, "limit": limit}}


def decided() -> dict[str, float]:
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

    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "measurements.json")
        converter().close()
        decide("far_over", convnet(256, "student"), ledger)
        decide("cold", convnet(10, "student"), ledger)
        decide("warm", convnet(11, "student"), ledger)
        decide("deep", mobilenet(), ledger)
        decide("again", convnet(10, "student"), ledger)
        decide("deep_again", mobilenet(), ledger)
    return seconds


PARTS = {"live": live, "overhead": overhead, "decisions": decisions}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    found = record.read("search_cost")
    for part in given.parts:
        rounds = given.rounds
        found[part] = {"rounds": rounds, **PARTS[part](rounds)}
        what = (
            f"{TRIALS} trials, {IMAGES} images {SIDE}x{SIDE}x1 and {HELD_OUT} "
            f"for validation, batch {BATCH}; sum of each trial's minimum over "
            "alternating rounds"
        )
        parts = {name: found[name] for name in PARTS if name in found}
        path = record.write("search_cost", {"what": what, **parts})
        print(f"written: {path.name}, {part}", flush=True)


if __name__ == "__main__":
    main()
