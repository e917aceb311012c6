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

import keras
import numpy as np
import record
import tensorflow as tf

import keras_kd

IMAGES, BATCH, SIDE, EPOCHS = 3200, 64, 28, 10
CLASSES, TOP_K = 1000, 10
DECODED = 20_000
REPEATS = 4  # of the images in an epoch of a light student
BUILT, BUILT_SIDE = 10_048, 32
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def convnet(width: int, name: str) -> keras.Model:
    """Four convolutions; the cost grows with the square of the width."""
    inputs = keras.Input((SIDE, SIDE, 1))
    x = inputs
    for index, factor in enumerate((1, 1, 2, 2)):
        x = keras.layers.Conv2D(
            factor * width, 3, 2 if index == 2 else 1, "same", activation="relu"
        )(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10)(x), name=name)


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


Both = tuple[dict[str, float], dict[str, float]]


def light_seconds(rounds: int, student_width: int) -> Both:
    """Seconds of an epoch of a student so light that the join shows."""
    rng = np.random.default_rng(0)
    x = rng.random((REPEATS * IMAGES, SIDE, SIDE, 1), "float32")
    y = rng.integers(0, 10, REPEATS * IMAGES)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)
    teacher = convnet(32, "teacher")

    def compiled(distilled: bool) -> keras.Model:
        model: keras.Model = convnet(student_width, "student")
        if distilled:
            model = keras_kd.Distiller(cache, model)
        model.compile("adam", loss=LOSS, metrics=["accuracy"])
        return model

    def fit(distilled: bool, *given: Any) -> Callable[[], object]:
        model = compiled(distilled)
        size = {"batch_size": BATCH} if len(given) > 1 else {}
        return lambda: model.fit(*given, verbose=0, **size)

    with tempfile.TemporaryDirectory() as folder:
        cache = keras_kd.TeacherCache.build(folder, teacher, data, verbose=0)
        arrays = cache.join((x, y))
        joined = tf.data.Dataset.from_tensor_slices(arrays).batch(BATCH)
        return record.minima_with_cpu(
            {
                "student_alone": fit(False, data),
                "from_cache": fit(True, cache.join(data)),
                # What the step itself takes, without a look-up.
                "joined_before": fit(True, joined),
                "arrays_alone": fit(False, x, y),
                "arrays_from_cache": fit(True, *arrays),
            },
            rounds,
        )


def build_seconds(rounds: int) -> Both:
    """Seconds to build, and to predict, with BatchNormalization."""
    rng = np.random.default_rng(0)
    shape = (BUILT_SIDE, BUILT_SIDE, 3)
    x = rng.random((BUILT, *shape), "float32")
    data = tf.data.Dataset.from_tensor_slices(x).batch(BATCH)
    teachers = {
        "convnet": keras_kd.students.convnet(shape, 10),
        "resnet": keras_kd.students.resnet(shape, 10),
    }

    def build(teacher: keras.Model, dataset: Any) -> Callable[[], object]:
        def run() -> None:
            with tempfile.TemporaryDirectory() as folder:
                keras_kd.TeacherCache.build(folder, teacher, dataset, verbose=0)

        return run

    def predict(teacher: keras.Model) -> Callable[[], object]:
        return lambda: teacher.predict(data, verbose=0)

    jobs = {}
    for name, teacher in teachers.items():
        jobs[f"{name}_build"] = build(teacher, data)
        jobs[f"{name}_predict"] = predict(teacher)
        # What every build costs once: fingerprint, trace and files.
        jobs[f"{name}_build_of_a_batch"] = build(teacher, data.take(1))
    return record.minima_with_cpu(jobs, rounds)


def epoch_ratios(five: Both, two: Both) -> dict[str, tuple[float, ...]]:
    """Return each ratio of wall clock, of processors, and its goal."""
    found = {}
    for of, limit in ((five, 1.03), (two, 1.10)):
        step = 1000 * of[0]["student_alone"] * BATCH / (REPEATS * IMAGES)
        found[f"epoch from the cache / student alone, {step:.1f} ms"] = (
            *(one["from_cache"] / one["student_alone"] for one in of),
            limit,
        )
        found[f"the same without a look-up, {step:.1f} ms"] = (
            *(one["joined_before"] / one["student_alone"] for one in of),
            limit,
        )
        found[f"the same from arrays, {step:.1f} ms"] = (
            *(one["arrays_from_cache"] / one["arrays_alone"] for one in of),
            1.01,
        )
    return found


def build_ratios(of: Both) -> dict[str, tuple[float, ...]]:
    """Return each ratio of wall clock, of processors, and its goal."""
    found = {}
    for name in ("convnet", "resnet"):
        found[f"build / predict, {name}, {BUILT:,} examples"] = (
            *(one[f"{name}_build"] / one[f"{name}_predict"] for one in of),
            0.8,
        )
    return found


def show(found: dict[str, tuple[float, ...]]) -> None:
    """Print ratios beside their goals."""
    for name, (wall, cpu, limit) in found.items():
        verdict = "met" if wall <= limit else "MISSED"
        print(
            f"  {name:48} {wall:8.3f}  (at most {limit:.3f}: {verdict}; "
            f"processors {cpu:.3f})"
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
    light: dict[str, tuple[float, ...]] = {}
    parts: dict[str, Both] = {}
    if given.part != "build":
        parts["five"] = light_seconds(given.rounds, 8)
        parts["two"] = light_seconds(given.rounds, 3)
        light |= epoch_ratios(parts["five"], parts["two"])
    if given.part != "epochs":
        parts["normed_build"] = build_seconds(given.rounds)
        light |= build_ratios(parts["normed_build"])
    for name, (wall, cpu) in parts.items():
        print(f"{name}: seconds, and seconds of processors")
        for key in wall:
            print(f"  {key:34} {wall[key]:9.3f} {cpu[key]:9.3f}")
    show(light)
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
    show(light)
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
            "light_student_epoch_from_cache_over_alone": {
                "light": parts["five"][0]["from_cache"]
                / parts["five"][0]["student_alone"],
                "tenfold": tenfold["from_cache"] / tenfold["student_alone"],
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
