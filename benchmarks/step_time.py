"""Time of an epoch under a teacher, against its parts and the peer.

Ours and the peer's alternate in one process; the minimum over the rounds is
compared, because medians swing twofold on shared machines. Writes
`benchmarks/results/step_time.json`.

    python benchmarks/step_time.py [--rounds 9]

Seconds of processors stand beside those of the clock: on a machine that does
other work, they swing less.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from unittest import mock

import keras
import numpy as np
import record
import tensorflow as tf

import keras_kd
from keras_kd.distiller import tensorflow_step

IMAGES, BATCH, SIDE = 3200, 64, 28
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def convnet(width: int, name: str, normed: bool = False) -> keras.Model:
    """Four convolutions; parameters grow with the square of the width."""
    inputs = keras.Input((SIDE, SIDE, 1))
    x = inputs
    for index, factor in enumerate((1, 1, 2, 2)):
        x = keras.layers.Conv2D(
            factor * width, 3, 2 if index == 2 else 1, "same"
        )(x)
        if normed:
            x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(32, "relu", name="embedding")(x)
    return keras.Model(inputs, keras.layers.Dense(10)(x), name=name)


def distillation_losses(feature: bool) -> list:
    """The same losses for both Distillers, the peer's corrected."""
    losses = [
        keras.distillation.LogitsDistillation(
            temperature=4.0, loss=keras.losses.KLDivergence()
        )
    ]
    if feature:
        losses.append(
            keras.distillation.FeatureDistillation(
                teacher_layer_name="embedding", student_layer_name="embedding"
            )
        )
    return losses


def ours(
    feature: bool, normed: bool = False, normed_student: bool = False
) -> keras.Model:
    """Our Distiller, with its own soft targets."""
    losses = [keras_kd.losses.SoftTargets(4.0)]
    losses += distillation_losses(feature)[1:]
    model = keras_kd.Distiller(
        convnet(32, "teacher", normed),
        convnet(8, "student", normed_student),
        losses,
    )
    model.compile("adam", loss=LOSS, metrics=["accuracy"])
    return model


def unchecked(model: keras.Model, data: tf.data.Dataset) -> keras.Model:
    """Trace a Distiller's step without the checks of labels and for NaN."""

    def nothing(*args: object) -> list:
        return []

    def fine(*args: object) -> tf.Tensor:
        return tf.constant(True)

    with (
        mock.patch.object(tensorflow_step, "_check_labels", nothing),
        mock.patch.object(tensorflow_step, "_not_nan", nothing),
        mock.patch.object(tensorflow_step, "_check_finite", fine),
    ):
        model.fit(data.take(1), verbose=0)
    return model


def peer(feature: bool, normed: bool = False) -> keras.Model:
    """The Distiller of `keras.distillation`."""
    losses = distillation_losses(feature)
    model = keras.distillation.Distiller(
        teacher=convnet(32, "teacher", normed),
        student=convnet(8, "student"),
        distillation_losses=losses,
        distillation_loss_weights=[1.0] * len(losses),
        student_loss_weight=0.1,
    )
    model.compile("adam", loss=LOSS, metrics=["accuracy"])
    return model


def import_seconds(statement: str) -> float:
    """Seconds a fresh interpreter takes to run one statement."""
    code = (
        "import time; start = time.perf_counter(); "
        f"{statement}; print(time.perf_counter() - start)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def epoch_seconds(
    rounds: int,
) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of one epoch of each way of training."""
    rng = np.random.default_rng(0)
    x = rng.random((IMAGES, SIDE, SIDE, 1), "float32")
    y = rng.integers(0, 10, IMAGES)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH).cache()
    student = convnet(8, "student")
    student.compile("adam", loss=LOSS, metrics=["accuracy"])
    normed = convnet(32, "teacher", normed=True)

    def all_forward(teacher: keras.Model) -> Callable[[], object]:
        @tf.function
        def forward(images: tf.Tensor) -> tf.Tensor:
            return teacher(images, training=False)

        def run() -> None:
            for images, _ in data:
                forward(images)

        return run

    def fit(model: keras.Model) -> Callable[[], object]:
        return lambda: model.fit(data, verbose=0)

    jobs = {
        "student_alone": fit(student),
        "teacher_forward": all_forward(convnet(32, "teacher")),
        "distiller": fit(ours(feature=False)),
        "keras_distillation": fit(peer(feature=False)),
        "distiller_with_feature": fit(ours(feature=True)),
        "keras_distillation_with_feature": fit(peer(feature=True)),
        "normed_teacher_forward": all_forward(normed),
        "normed_distiller": fit(ours(feature=False, normed=True)),
        "normed_keras_distillation": fit(peer(feature=False, normed=True)),
        "unchecked": fit(unchecked(ours(feature=False), data)),
        "normed_unchecked": fit(unchecked(ours(False, normed=True), data)),
        "both_normed": fit(ours(False, normed=True, normed_student=True)),
        "both_normed_unchecked": fit(
            unchecked(ours(False, normed=True, normed_student=True), data)
        ),
    }
    return record.minima_with_cpu(jobs, rounds)


def ratios_of(best: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Return each ratio of seconds with the most it may be."""
    parts = best["student_alone"] + best["teacher_forward"]
    return {
        "distiller / (student_alone + teacher_forward)": (
            best["distiller"] / parts,
            1.05,
        ),
        "distiller / keras_distillation": (
            best["distiller"] / best["keras_distillation"],
            1.0,
        ),
        "with_feature: distiller / keras_distillation": (
            best["distiller_with_feature"]
            / best["keras_distillation_with_feature"],
            0.8,
        ),
        "normed: distiller / (student_alone + teacher_forward)": (
            best["normed_distiller"]
            / (best["student_alone"] + best["normed_teacher_forward"]),
            0.88,
        ),
        "normed: distiller / keras_distillation": (
            best["normed_distiller"] / best["normed_keras_distillation"],
            0.92,
        ),
    } | {
        f"{name}: with checks / without": (best[one] / best[other], 1.01)
        for name, one, other in (
            ("plain", "distiller", "unchecked"),
            ("normed", "normed_distiller", "normed_unchecked"),
            ("both normed", "both_normed", "both_normed_unchecked"),
        )
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    best, cpu = epoch_seconds(rounds)
    imports = minima_of_imports(rounds)
    ratios, of_cpu = ratios_of(best), ratios_of(cpu)
    added = imports["keras, keras_kd.Distiller"] - imports["keras"]
    print(f"minimum of {rounds} alternating rounds, {IMAGES} images an epoch")
    for name, seconds in best.items():
        print(f"  {name:34} {seconds:7.3f} s, processors {cpu[name]:7.3f} s")
    for name, (ratio, limit) in ratios.items():
        verdict = "met" if ratio <= limit else "MISSED"
        print(
            f"  {name:54} {ratio:6.3f}  (at most {limit}: {verdict}; "
            f"processors {of_cpu[name][0]:.3f})"
        )
    print(f"  import keras_kd.Distiller adds {added:.3f} s (at most 0.3)")
    path = record.write(
        "step_time",
        {
            "what": f"{IMAGES} images {SIDE}x{SIDE}x1, batch {BATCH}, "
            "convolutional teacher of 16 times the student's parameters, "
            "normed: with BatchNormalization; "
            f"minimum of {rounds} alternating rounds",
            "seconds": best,
            "seconds_of_processors": cpu,
            "ratios": {
                name: {
                    "ratio": ratio,
                    "of_processors": of_cpu[name][0],
                    "limit": limit,
                }
                for name, (ratio, limit) in ratios.items()
            },
            "import_seconds": imports | {"added": added, "limit": 0.3},
        },
    )
    print(f"written: {path.name}")


def minima_of_imports(rounds: int) -> dict[str, float]:
    """Seconds to import, in fresh interpreters, alternating."""
    statements = {
        "keras": "import keras",
        "keras, keras_kd": "import keras, keras_kd",
        "keras, keras_kd.Distiller": "import keras, keras_kd; "
        "keras_kd.Distiller",
    }
    best = dict.fromkeys(statements, float("inf"))
    for _ in range(rounds):
        for name, statement in statements.items():
            best[name] = min(best[name], import_seconds(statement))
    return best


if __name__ == "__main__":
    main()
