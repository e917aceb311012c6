"""Accuracy on digits: the student alone, ours, and `keras.distillation`.

Three settings, five seeds, the same steps and the same first weights for
every row. Clean digits do not separate the methods and are reported, not
gated; 40 % wrong labels and 100 labels do. Writes
`benchmarks/results/digits_accuracy.json`.

    python benchmarks/digits_accuracy.py [--seeds 5] [--steps 2400]
"""

import argparse
from collections.abc import Callable
from statistics import mean
from statistics import stdev

import keras
import numpy as np
import record
import tensorflow as tf

import keras_kd

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
BATCH = 32
GATE = 4.0  # points over the student alone, in every seed
Arrays = tuple[np.ndarray, np.ndarray]


def make_student(seed: int) -> keras.Model:
    """A convolutional student of 640 parameters."""
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(6, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(6, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ],
        name="student",
    )


def make_teacher(train: Arrays) -> keras.Model:
    """A teacher trained on every clean label."""
    keras.utils.set_random_seed(0)
    teacher = keras_kd.students.convnet((8, 8, 1), 10)
    teacher.compile("adam", loss=LOSS)
    teacher.fit(*train, epochs=30, batch_size=BATCH, verbose=0)
    return teacher


def stream(x: np.ndarray, y: np.ndarray, seed: int) -> tf.data.Dataset:
    """Endless shuffled batches."""
    data = tf.data.Dataset.from_tensor_slices((x, y))
    return data.shuffle(len(x), seed=seed).repeat().batch(BATCH)


def train(model: keras.Model, data: tf.data.Dataset, steps: int, loss) -> None:
    """Run the same number of steps, with the same optimizer."""
    rate = keras.optimizers.schedules.CosineDecay(1e-2, steps)
    model.compile(
        keras.optimizers.Adam(rate), loss=loss, steps_per_execution=50
    )
    model.fit(data, epochs=1, steps_per_epoch=steps, verbose=0)


def keras_distiller(
    teacher: keras.Model, student: keras.Model, fixed: bool, weight: float
) -> keras.Model:
    """The peer, in its default or its corrected setting."""
    loss = keras.losses.KLDivergence() if fixed else "kl_divergence"
    return keras.distillation.Distiller(
        teacher=teacher,
        student=student,
        distillation_losses=keras.distillation.LogitsDistillation(
            temperature=4.0, loss=loss
        ),
        student_loss_weight=weight,
    )


def run_seed(
    teacher: keras.Model,
    labelled: Arrays,
    taught: Arrays,
    alpha: float,
    seed: int,
    steps: int,
    accuracy: Callable[[keras.Model], float],
) -> dict[str, float]:
    """Train every row from the same weights; accuracy in percent."""
    scores = {}
    student = make_student(seed)
    train(student, stream(*labelled, seed), steps, LOSS)
    scores["student alone"] = accuracy(student)

    student = make_student(seed)
    distiller = keras_kd.Distiller(teacher, student, alpha=alpha)
    task = None if alpha == 1 else LOSS
    train(distiller, stream(*taught, seed), steps, task)
    scores["keras_kd"] = accuracy(student)

    for name, fixed in (("default", False), ("corrected", True)):
        student = make_student(seed)
        peer = keras_distiller(teacher, student, fixed, 1 - alpha)
        train(peer, stream(*taught, seed), steps, LOSS)
        scores[f"keras.distillation, {name}"] = accuracy(student)
    return scores


def settings(train_set: Arrays, seed: int) -> dict[str, tuple]:
    """Name -> what the student alone sees, what is distilled, alpha."""
    x, y = train_set
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(y)) < 0.4
    noisy = np.where(wrong, (y + rng.integers(1, 10, len(y))) % 10, y)
    few = np.concatenate(
        [rng.permutation(np.flatnonzero(y == c))[:10] for c in range(10)]
    )
    noisy = noisy.astype("int32")
    return {
        "clean": ((x, y), (x, y), 0.9),
        "40 % wrong labels": ((x, noisy), (x, noisy), 0.9),
        # The peers need labels; they get zeros, at weight 0.
        "100 labels": ((x[few], y[few]), (x, np.zeros_like(y)), 1.0),
    }


def summarize(name: str, rows: list[dict[str, float]]) -> dict:
    """Means, spread, and the smallest lead over the student alone."""
    leads = [row["keras_kd"] - row["student alone"] for row in rows]
    print(f"{name}:")
    table = {}
    for method in rows[0]:
        values = [row[method] for row in rows]
        spread = stdev(values) if len(values) > 1 else 0.0
        table[method] = {
            "mean": round(mean(values), 2),
            "stdev": round(spread, 2),
            "seeds": [round(value, 2) for value in values],
        }
        print(f"  {method:32} {mean(values):6.2f} ± {spread:.2f}")
    gated = name != "clean"
    summary = {"accuracy": table, "smallest_lead": round(min(leads), 2)}
    if gated:
        verdict = "met" if min(leads) >= GATE else "MISSED"
        summary["gate"] = GATE
        print(f"  smallest lead {min(leads):.2f} (at least {GATE}: {verdict})")
    return summary


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2400)
    options = parser.parse_args()
    train_set, (x_test, y_test) = keras_kd.data.digits()

    def accuracy(model: keras.Model) -> float:
        predicted = model.predict(x_test, batch_size=500, verbose=0)
        return 100 * float((predicted.argmax(-1) == y_test).mean())

    teacher = make_teacher(train_set)
    rows: dict[str, list] = {}
    for seed in range(options.seeds):
        for name, (labelled, taught, alpha) in settings(
            train_set, seed
        ).items():
            scores = run_seed(
                teacher, labelled, taught, alpha, seed, options.steps, accuracy
            )
            rows.setdefault(name, []).append(scores)
            keras.backend.clear_session()
    print(f"teacher {accuracy(teacher):.2f}; test images {len(y_test)}")
    results = {name: summarize(name, table) for name, table in rows.items()}
    path = record.write(
        "digits_accuracy",
        {
            "what": f"digits, test accuracy in percent, {options.steps} steps "
            f"of {BATCH}, {options.seeds} seeds, student of "
            f"{make_student(0).count_params()} parameters",
            "teacher": round(accuracy(teacher), 2),
            "settings": results,
        },
    )
    print(f"written: {path.name}")


if __name__ == "__main__":
    main()
