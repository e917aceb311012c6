"""Accuracy on digits with every method: 40 % wrong labels and 100 labels.

A deep, narrow student learns for the same steps from the same first weights:
alone, under soft targets, and with every method of `keras_kd.losses.METHODS`.
Methods that do not read logits stand beside soft targets, with the weights of
their authors. With 100 labels the teacher also sees the other images. A cell
is written when it is done, and a stopped run goes on. Writes
`benchmarks/results/losses_digits.json`.

    python benchmarks/losses_digits.py [--seeds 5] [--steps 1200] [--quick]
"""

import argparse
from functools import partial
from statistics import mean
from statistics import stdev
from typing import Any

import keras
import method_rows
import numpy as np
import record
import tensorflow as tf

import keras_kd
from keras_kd.losses import METHODS

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
ALONE = "student alone"
SETTINGS = ["40 % wrong labels", "100 labels"]
BATCH, ALPHA, RATE, CHANNELS = 32, 0.9, 5e-3, 64


def network(filters: list[int], classes: int, name: str) -> keras.Model:
    """A model of 8x8 images with `maps` of 4x4 and a `vector`."""
    inputs = x = keras.Input((8, 8, 1))
    for number, width in enumerate(filters):
        last = number == len(filters) - 1
        if number == len(filters) // 2:
            x = keras.layers.MaxPooling2D()(x)
        x = keras.layers.Conv2D(
            width,
            3,
            padding="same",
            activation="relu",
            name="maps" if last else f"conv_{number}",
        )(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten(name="vector")(x)
    return keras.Model(inputs, keras.layers.Dense(classes)(x), name=name)


def make_student(seed: int) -> keras.Model:
    """A student of six narrow convolutions."""
    keras.utils.set_random_seed(seed)
    return network([6] * 6, 10, "student")


def make_teacher(x: np.ndarray, y: np.ndarray, epochs: int) -> keras.Model:
    """A teacher trained on every clean label."""
    keras.utils.set_random_seed(0)
    teacher = network([32, CHANNELS], 10, "teacher")
    teacher.compile("adam", loss=LOSS)
    teacher.fit(x, y, epochs=epochs, batch_size=BATCH, verbose=0)
    return teacher


def labels(y: np.ndarray, setting: str, seed: int) -> np.ndarray:
    """Return the labels that a student gets; -1 where it gets none."""
    rng = np.random.default_rng(seed)
    if setting == SETTINGS[0]:
        wrong = rng.random(len(y)) < 0.4
        moved = (y + rng.integers(1, 10, len(y))) % 10
        return np.where(wrong, moved, y).astype("int32")
    few = [rng.permutation(np.flatnonzero(y == c))[:10] for c in range(10)]
    kept = np.full_like(y, -1)
    kept[np.concatenate(few)] = y[np.concatenate(few)]
    return kept


def stream(x: np.ndarray, y: np.ndarray, seed: int) -> tf.data.Dataset:
    """Endless shuffled batches of numbered examples."""
    data = tf.data.Dataset.from_tensor_slices((x, y))
    data = keras_kd.data.number_examples(data, batched=False)
    return data.shuffle(len(x), seed=seed).repeat().batch(BATCH)


def run(
    method: str,
    setting: str,
    seed: int,
    steps: int,
    teacher: keras.Model,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
) -> float:
    """Train one student; return its test accuracy in percent."""
    x, y = train[0], labels(train[1], setting, seed)
    student = make_student(seed)
    model: Any = student
    if method == ALONE:
        data = tf.data.Dataset.from_tensor_slices((x[y >= 0], y[y >= 0]))
        data = data.shuffle(len(x), seed=seed).repeat().batch(BATCH)
    else:
        data = stream(x, y, seed)
        losses = method_rows.narrower(method, CHANNELS)
        model = keras_kd.Distiller(teacher, student, losses, alpha=ALPHA)
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
    model.compile(
        keras.optimizers.Adam(rate),
        loss=LOSS,
        steps_per_execution=min(50, steps),
    )
    model.fit(data, epochs=1, steps_per_epoch=steps, verbose=0)
    predicted = student.predict(test[0], batch_size=500, verbose=0)
    keras.backend.clear_session()
    return round(100 * float((predicted.argmax(-1) == test[1]).mean()), 2)


def summarize(cells: dict[str, float], settings: list[str], seeds: int) -> None:
    """Print the mean and spread of each method, and who is below alone."""
    rows = [ALONE, *method_rows.COMPARED]
    for setting in settings:
        print(f"{setting}:")
        table = {
            row: [cells[f"{setting}, {row}, {seed}"] for seed in range(seeds)]
            for row in rows
            if f"{setting}, {row}, 0" in cells
        }
        for row, values in table.items():
            spread = stdev(values) if len(values) > 1 else 0.0
            below = mean(table[ALONE]) - mean(values) > spread
            beside = row in METHODS and method_rows.layer(row)
            name = f"{row} + soft_targets" if beside else row
            print(
                f"  {name:48} {mean(values):6.2f} ± {spread:.2f}"
                f"{'  BELOW THE STUDENT ALONE' if below else ''}"
            )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument(
        "--quick", action="store_true", help="a few steps; writes nothing"
    )
    options = parser.parse_args()
    methods, settings = [ALONE, *method_rows.COMPARED], SETTINGS
    seeds, steps, epochs = options.seeds, options.steps, 30
    if options.quick:
        methods, settings = [ALONE, "hint"], settings[1:]
        seeds, steps, epochs = 1, 5, 1
    train, test = keras_kd.data.digits()
    teacher = make_teacher(*train, epochs)
    jobs = {
        f"{setting}, {method}, {seed}": partial(
            run, method, setting, seed, steps, teacher, train, test
        )
        for seed in range(seeds)
        for setting in settings
        for method in methods
    }
    depends_on = {
        "what": "digits, test accuracy in percent, student of "
        f"{make_student(0).count_params()} parameters",
        "steps": steps,
        "batch": BATCH,
        "alpha": ALPHA,
        "rate": RATE,
    }
    cells = record.resumed(
        "losses_digits", depends_on, jobs, keep=not options.quick
    )
    summarize(cells, settings, seeds)


if __name__ == "__main__":
    main()
