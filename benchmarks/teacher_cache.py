"""What a teacher cache costs and saves.

Everything that is compared alternates in one process, and the minimum over
the rounds counts, because medians swing twofold on shared machines. Writes
`benchmarks/results/teacher_cache.json`.

    python benchmarks/teacher_cache.py [--rounds 7] [--examples 1000000]

Beside the figures stand their goals. `--part epochs` or `--part build`
measures these alone, and writes nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cache_ratios
import keras
import numpy as np
import record
import tensorflow as tf
from cache_ratios import BATCH
from cache_ratios import IMAGES
from cache_ratios import LOSS
from cache_ratios import SIDE
from cache_ratios import convnet

import keras_kd

EPOCHS = 10
CLASSES, TOP_K = 1000, 10
DECODED = 20_000


def training_seconds(
    rounds: int, teacher_width: int, student_width: int
) -> dict[str, float]:
    """Seconds of an epoch of each way of training, of building, of predict."""
    rng = np.random.default_rng(0)
    x = rng.random((IMAGES, SIDE, SIDE, 1), "float32")
    y = rng.integers(0, 10, IMAGES)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)
    teacher = convnet(teacher_width, "teacher")
    builds = Path(tempfile.mkdtemp())

    def student() -> keras.Model:
        return convnet(student_width, "student")

    def compiled(model: keras.Model) -> keras.Model:
        model.compile("adam", loss=LOSS, metrics=["accuracy"])
        return model

    def build() -> keras_kd.TeacherCache:
        path = builds / str(len(list(builds.iterdir())))
        return keras_kd.TeacherCache.build(path, teacher, data, verbose=0)

    def fit(model: keras.Model, dataset: Any) -> Callable[[], object]:
        return lambda: model.fit(dataset, verbose=0)

    cache = build()
    peer = keras.distillation.Distiller(
        teacher=convnet(teacher_width, "teacher"),
        student=student(),
        distillation_losses=keras.distillation.LogitsDistillation(
            temperature=4.0, loss=keras.losses.KLDivergence()
        ),
        student_loss_weight=0.1,
    )
    cached = keras_kd.Distiller(cache, student())
    live = keras_kd.Distiller(teacher, student())
    return record.minima(
        {
            "student_alone": fit(compiled(student()), data),
            "from_cache": fit(compiled(cached), cache.join(data)),
            "live": fit(compiled(live), data),
            "keras_distillation": fit(compiled(peer), data),
            "build": build,
            "predict": lambda: teacher.predict(data, verbose=0),
        },
        rounds,
    )


def images(start: int, stop: int) -> np.ndarray:
    """Return images of 32x32, each with its number in its first bytes."""
    numbers = np.arange(start, stop, dtype="<u4")
    base = np.random.default_rng(0).integers(0, 256, (64, 3072), "uint8")
    made = base[numbers % 64]
    made[:, :4] = numbers.view("uint8").reshape(-1, 4)
    return made.reshape(-1, 32, 32, 3)


def build_large(path: Path, examples: int) -> float:
    """Build a cache of many examples with a teacher that costs nothing."""
    table = np.random.default_rng(0).normal(size=(997, CLASSES)) * 3
    table = table.astype("float32")

    def teacher(x: np.ndarray) -> np.ndarray:
        numbers = x.reshape(len(x), -1)[:, :4].copy().view("<u4")[:, 0]
        return table[numbers % 997]

    def batches() -> Iterator[np.ndarray]:
        for start in range(0, examples, 1024):
            yield images(start, min(start + 1024, examples))

    spec = tf.TensorSpec((None, 32, 32, 3), tf.uint8)
    start = time.perf_counter()
    keras_kd.TeacherCache.build(
        path,
        teacher,
        tf.data.Dataset.from_generator(batches, output_signature=spec),
        top_k=TOP_K,
        teacher_output="logits",
        teacher_id="table",
        verbose=0,
    )
    return time.perf_counter() - start


def read_large(path: Path, examples: int, rounds: int) -> dict[str, float]:
    """Open a large cache and join it to a pipeline that decodes images."""
    chosen = np.random.default_rng(1).choice(examples, DECODED, replace=False)
    encoded = np.array(
        [
            tf.io.encode_png(images(number, number + 1)[0]).numpy()
            for number in chosen
        ]
    )

    def decode(text: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.io.decode_png(text, 3), (32, 32, 3))

    data = tf.data.Dataset.from_tensor_slices(encoded)
    data = data.map(decode, tf.data.AUTOTUNE).batch(256)

    def consume(dataset: tf.data.Dataset) -> Callable[[], object]:
        dataset = dataset.prefetch(2)

        def run() -> None:
            for _ in dataset:
                pass

        return run

    consume(data)()
    before = resident_mb()
    opening = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        cache = keras_kd.TeacherCache.open(path)
        opening = min(opening, time.perf_counter() - start)
    jobs = {
        "decode_and_batch": consume(data),
        "decode_batch_and_join": consume(cache.join(data)),
    }
    seconds = record.minima(jobs, rounds)
    return seconds | {
        "open": opening,
        "resident_mb_growth": resident_mb() - before,
        "bytes_per_example": cache.info()["bytes_per_example"],
    }


def resident_mb() -> float:
    """Memory of this process, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def large(examples: int, rounds: int) -> dict[str, float]:
    """Build here; read in a fresh process, whose memory is its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cache"
        before = resident_mb()
        seconds = build_large(path, examples)
        built_mb = resident_mb() - before
        command = [sys.executable, __file__, "--rounds", str(rounds)]
        command += ["--examples", str(examples), "--read", str(path)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True
        )
    found = json.loads(done.stdout.splitlines()[-1])
    return found | {"build": seconds, "build_resident_mb_growth": built_mb}


def ratios(
    small: dict[str, float],
    tenfold: dict[str, float],
    big: dict[str, float],
) -> dict[str, tuple[float, float]]:
    """Return each ratio or measure with the most it may be."""
    ten = tenfold["build"] + EPOCHS * tenfold["from_cache"]
    joined = big["decode_batch_and_join"] / big["decode_and_batch"]
    return {
        "epoch: from_cache / student_alone": (
            small["from_cache"] / small["student_alone"],
            1.03,
        ),
        "build / predict, no normalization": (
            tenfold["build"] / tenfold["predict"],
            1.10,
        ),
        "10 epochs with build / 10 live": (
            ten / (EPOCHS * tenfold["live"]),
            1 / 3,
        ),
        "10 epochs with build / 10 of keras.distillation": (
            ten / (EPOCHS * tenfold["keras_distillation"]),
            1 / 3,
        ),
        "join / decode and batch": (joined, 1.10),
        "bytes an example": (big["bytes_per_example"], 64),
        "seconds to open": (big["open"], 1.0),
        "MB of memory to open and join": (big["resident_mb_growth"], 300),
        "MB of memory to build": (big["build_resident_mb_growth"], 300),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--examples", type=int, default=1_000_000)
    parser.add_argument("--read", type=Path)
    parser.add_argument("--part", choices=["epochs", "build"])
    given = parser.parse_args()
    if given.read:
        print(json.dumps(read_large(given.read, given.examples, given.rounds)))
        return
    parts, light = cache_ratios.measure(given.rounds, given.part)
    if given.part:
        return
    big = large(given.examples, given.rounds)
    # Some 20 ms a step, as a small convnet on small images takes.
    small = training_seconds(given.rounds, 48, 24)
    # The student's cost ten times over, measured, not counted.
    tenfold = training_seconds(given.rounds, 120, 8)
    cost = (tenfold["live"] - tenfold["student_alone"]) / tenfold[
        "student_alone"
    ]
    print(f"minimum of {given.rounds} rounds, {given.examples:,} examples")
    for name, part in (
        ("teacher of 4 times the student's parameters", small),
        (f"teacher of {cost:.1f} times the student's epoch", tenfold),
        ("large", big),
    ):
        print(name)
        for key, value in part.items():
            print(f"  {key:34} {value:9.3f}")
    found = ratios(small, tenfold, big)
    for name, (value, limit) in found.items():
        verdict = "met" if value <= limit else "MISSED"
        print(f"  {name:48} {value:8.3f}  (at most {limit:.3f}: {verdict})")
    cache_ratios.show(light)
    path = record.write(
        "teacher_cache",
        {
            "what": f"{IMAGES} images {SIDE}x{SIDE}x1, batch {BATCH}; "
            f"{given.examples} examples of {CLASSES} classes, top_k={TOP_K}, "
            f"{DECODED} of them decoded and joined; minimum of "
            f"{given.rounds} alternating rounds",
            "seconds": {
                "small": small,
                "tenfold": tenfold,
                "large": big,
                **{name: wall for name, (wall, _) in parts.items()},
            },
            "seconds_of_processors": {
                name: cpu for name, (_, cpu) in parts.items()
            },
            "teacher_cost_in_student_epochs": cost,
            "step_ms": {
                "24 filters": 1000 * small["student_alone"] * BATCH / IMAGES,
                "8 filters": cache_ratios.step_ms(parts["five"]),
                "3 filters": cache_ratios.step_ms(parts["two"]),
            },
            "ratios": {
                name: {"ratio": value, "limit": limit}
                for name, (value, limit) in found.items()
            }
            | {
                name: {"ratio": wall, "of_processors": cpu, "limit": limit}
                for name, (wall, cpu, limit) in light.items()
            },
        },
    )
    print(f"written: {path.name}")


if __name__ == "__main__":
    main()
