"""How a step and a cache grow: with classes, examples, teacher and losses.

Each size is measured in a process of its own, for its memory; what is compared
in it alternates, and the minimum over the rounds counts. Writes
`benchmarks/results/growth.json`; stopped, the same call goes on.

    python benchmarks/growth.py [--rounds 7] [--again]
"""

import argparse
import functools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import record
from peers import peak_mb

BATCH, STEPS, FEATURES = 64, 10, 64
SIZES: dict[str, list[int]] = {
    "classes": [10, 100, 1_000, 10_000, 100_000],
    "examples": [10**3, 10**4, 10**5, 10**6, 10**7],
    # Units of each of the teacher's two layers.
    "teacher": [256, 512, 1024, 2048, 4096],
    "losses": [1, 2, 3, 4, 5, 6],
}
LOOKED_UP, LOOK_UP_BATCH, TABLE = 100_000, 256, 997


def steps(
    classes: int, units: int, losses: int, rounds: int
) -> dict[str, float]:
    """Milliseconds of a step of a student of 64 units, and the memory.

    Args:
        classes: Units of both heads.
        units: Units of each of the teacher's two layers.
        losses: How many losses.
        rounds: Rounds of ten steps.
    """
    import keras
    import tensorflow as tf

    import keras_kd

    kinds = keras_kd.losses
    made: list[Any] = [
        kinds.SoftTargets(),
        kinds.LogitsMSE(),
        kinds.DIST(),
        kinds.JensenShannon(),
        kinds.DecoupledKD(),
        kinds.TransformedTeacherMatching(),
    ]
    rng = np.random.default_rng(0)
    x = rng.random((BATCH * STEPS, FEATURES), "float32")
    y = rng.integers(0, classes, len(x))
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH).cache()
    mlp = functools.partial(keras_kd.students.mlp, (FEATURES,), classes)
    teacher = mlp(hidden=(units, units))

    @tf.function(reduce_retracing=True)
    def forward(images: Any) -> Any:
        return teacher(images, training=False)

    def teach() -> None:
        for images, _ in data:
            forward(images)

    def fit(model: Any) -> Callable[[], object]:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss=loss, metrics=["accuracy"])
        return functools.partial(model.fit, data, verbose=0)

    seconds = record.minima(
        {
            "student_alone": fit(mlp(hidden=(64,))),
            "teacher_forward": teach,
            "live": fit(
                keras_kd.Distiller(teacher, mlp(hidden=(64,)), made[:losses])
            ),
        },
        rounds,
    )
    found = {f"{name}_ms": 1000 * s / STEPS for name, s in seconds.items()}
    return found | {"peak_mb": peak_mb()}


def numbered(numbers: Any) -> Any:
    """Return a pipeline of examples, each of which holds its number."""
    import tensorflow as tf

    return numbers.map(
        lambda number: tf.stack([number, number * 7919], 1), tf.data.AUTOTUNE
    )


def built(folder: Path, examples: int) -> dict[str, float]:
    """Build a cache of 10 classes with a teacher that costs nothing."""
    import tensorflow as tf

    import keras_kd

    table = np.random.default_rng(0).normal(size=(TABLE, 10)).astype("float32")
    start = time.perf_counter()
    keras_kd.TeacherCache.build(
        folder,
        lambda x: table[np.asarray(x)[:, 0] % TABLE],
        numbered(tf.data.Dataset.range(examples).batch(8192)),
        teacher_output="logits",
        teacher_id="table",
        verbose=0,
    )
    return {"build_seconds": time.perf_counter() - start}


def looked_up(folder: Path, examples: int, rounds: int) -> dict[str, float]:
    """Open a cache, and look examples up in any order."""
    import tensorflow as tf

    import keras_kd

    numbers = np.random.default_rng(1).integers(0, examples, LOOKED_UP)
    data = tf.data.Dataset.from_tensor_slices(numbers).batch(LOOK_UP_BATCH)
    data = numbered(data)

    def consume(pipeline: Any) -> Callable[[], None]:
        def run() -> None:
            for _ in pipeline:
                pass

        return run

    consume(data)()
    before = resident_mb()
    start = time.perf_counter()
    cache = keras_kd.TeacherCache.open(folder)
    opening = time.perf_counter() - start
    joined = consume(cache.join(data))
    seconds = record.minima({"alone": consume(data), "joined": joined}, rounds)
    spent = seconds["joined"] - seconds["alone"]
    return {
        "look_up_us": 1e6 * spent / LOOKED_UP,
        "open_seconds": opening,
        "memory_mb": resident_mb() - before,
        "disk_mb": cache.info()["size_bytes"] / 2**20,
    }


def resident_mb() -> float:
    """Memory of this process, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def slope(points: Mapping[float, float]) -> tuple[float, float]:
    """Return what a line grows by, and where it starts.

    The relative error of the points is least, so that small sizes count.
    """
    x, y = np.array(list(points)), np.array(list(points.values()))
    rise, start = np.polyfit(x, y, 1, w=1 / np.abs(y))
    return float(rise), float(start)


def measured(
    kind: str, size: int, rounds: int, folder: Path | None = None
) -> dict[str, float]:
    """Measure one size in this process."""
    if kind == "build":
        return built(folder or Path(), size)
    if kind == "examples":
        return looked_up(folder or Path(), size, rounds)
    setting = {"classes": 100, "teacher": 512, "losses": 1, kind: size}
    return steps(
        setting["classes"], setting["teacher"], setting["losses"], rounds
    )


def in_own_process(kind: str, size: int, rounds: int) -> dict[str, float]:
    """Measure one size in a process of its own."""

    def run(kind: str, folder: str = "") -> dict[str, float]:
        command = [sys.executable, __file__, "--rounds", str(rounds)]
        command += ["--only", kind, str(size), folder]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True
        )
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found

    if kind != "examples":
        return run(kind)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "cache")
        return run("build", path) | run("examples", path)


def main() -> None:
    """Measure what is missing, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--again", action="store_true", help="measure all anew")
    parser.add_argument("--only", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        kind, size, folder = given.only
        found = measured(kind, int(size), given.rounds, Path(folder))
        print(json.dumps(found))
        return
    if given.again:
        record.forget("growth")
    jobs = {
        f"{kind} {size}": functools.partial(
            in_own_process, kind, size, given.rounds
        )
        for kind, sizes in SIZES.items()
        for size in sizes
    }
    record.resumed("growth", {"rounds": given.rounds}, jobs)


if __name__ == "__main__":
    main()
