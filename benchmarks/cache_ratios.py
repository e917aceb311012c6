"""An epoch from a cache over a student alone, and a build over `predict`.

`teacher_cache.py` runs these; `--part epochs` or `--part build` alone.
"""

import tempfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import record
import tensorflow as tf

import keras_kd

IMAGES, BATCH, SIDE = 3200, 64, 28
REPEATS = 4  # of the images in an epoch of a light student
BUILT, BUILT_SIDE = 10_048, 32
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
Both = tuple[dict[str, float], dict[str, float]]


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
        joined = cache.join(data)
        return record.minima_with_cpu(
            {
                "student_alone": fit(False, data),
                "from_cache": fit(True, joined),
                # What the step itself takes: batches held in memory.
                "held_alone": fit(False, data.cache()),
                "held_from_cache": fit(True, joined.cache()),
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


def step_ms(of: Both) -> float:
    """Milliseconds of a step of the student alone."""
    return 1000 * of[0]["student_alone"] * BATCH / (REPEATS * IMAGES)


def epoch_ratios(five: Both, two: Both) -> dict[str, tuple[float, ...]]:
    """Return each ratio of wall clock, of processors, and its goal."""
    found = {}
    for name, of, limit in (("8 filters", five, 1.03), ("3 filters", two, 1.1)):
        found[f"epoch from the cache / student alone, {name}"] = (
            *(one["from_cache"] / one["student_alone"] for one in of),
            limit,
        )
        found[f"the same, both without a pipeline, {name}"] = (
            *(one["held_from_cache"] / one["held_alone"] for one in of),
            limit,
        )
        found[f"the same from arrays, {name}"] = (
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


def measure(
    rounds: int, part: str | None = None
) -> tuple[dict[str, Both], dict[str, tuple[float, ...]]]:
    """Measure and print all, or only `"epochs"` or `"build"`.

    Returns:
        The seconds of each part, and the ratios with their goals.
    """
    light: dict[str, tuple[float, ...]] = {}
    parts: dict[str, Both] = {}
    if part != "build":
        # Ratios near 1, of short epochs: more rounds.
        parts["five"] = light_seconds(3 * rounds, 8)
        parts["two"] = light_seconds(3 * rounds, 3)
        light |= epoch_ratios(parts["five"], parts["two"])
    if part != "epochs":
        parts["normed_build"] = build_seconds(rounds)
        light |= build_ratios(parts["normed_build"])
    for name, (wall, cpu) in parts.items():
        print(f"{name}: seconds, and seconds of processors")
        for key in wall:
            print(f"  {key:34} {wall[key]:9.3f} {cpu[key]:9.3f}")
    show(light)
    return parts, light
