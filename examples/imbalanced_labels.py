"""
Title: A student that keeps the rare classes
Author: keras_kd contributors
Date created: 2026/11/29
Last modified: 2026/11/29
Description: Imbalanced labels, and two ways to weigh the examples.
Accelerator: None
"""

"""
## Introduction

Where some classes are rare, a small student gives them up first: they cost
little of its loss, and little of the accuracy by which it is judged. Each
distillation loss can weigh its examples:

- `class_balance=[...]`, the number of examples of each class, lets those of
  rare classes count more (Cui et al. 2019, arXiv:1901.05555).
- `weighting="teacher_correct"` leaves out the examples on which the teacher is
  wrong; `"teacher_confidence"` and `"entropy"` let examples count less the
  less sure the teacher is.

Both change the distillation loss alone; for the labels Keras has
`class_weight`. What they are worth shows in the recall of each class, not in
the accuracy on the whole.
"""

import json
import os
import statistics

import keras
import numpy as np

import keras_kd

fast = os.environ.get("KERAS_KD_FAST") == "1"
num_rare = 20
rare = (3, 5, 8)
teacher_epochs = 4
student_epochs = 20 if fast else 40
seeds = range(1 if fast else 3)

"""
## Data

The digits that come with the package, but of three digits only twenty
images each are left to learn from. Validation and test images stay as they are.
"""

(train_images, train_labels), (test_images, test_labels) = (
    keras_kd.data.digits()
)
held_out = 200
validation_data = (train_images[:held_out], train_labels[:held_out])
kept = np.sort(
    np.concatenate(
        [
            held_out
            + np.flatnonzero(train_labels[held_out:] == digit)[
                : num_rare if digit in rare else None
            ]
            for digit in range(10)
        ]
    )
)
counts = np.bincount(train_labels[kept], minlength=10).tolist()
print(f"Images of each digit: {counts}")

splits = keras_kd.data.load(
    {
        "train": (train_images[kept], train_labels[kept]),
        "validation": validation_data,
        "test": (test_images, test_labels),
    },
    batch_size=32,
)

"""
## The teacher

It has learned from the same images, for a short time, so that it gets some of
the rare digits wrong even among the images that it learned from.
"""


def fit(model, epochs, validation_data=None):
    """Train a model or a Distiller."""
    steps = epochs * len(splits.train)
    rate = keras.optimizers.schedules.CosineDecay(1e-2, steps)
    model.compile(
        keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=len(splits.train),
    )
    model.fit(
        splits.train,
        validation_data=validation_data,
        epochs=epochs,
        shuffle=False,
        verbose=0,
    )


def measure(model, dataset=splits.test):
    """Return the accuracy and the mean recall of rare and other digits."""
    found = keras_kd.evaluate(model, dataset, latency=False)
    recall = np.asarray(found.per_class_recall)
    is_rare = np.isin(np.arange(10), rare)
    return {
        "accuracy": found.accuracy,
        "rare": float(recall[is_rare].mean()),
        "others": float(recall[~is_rare].mean()),
    }


keras.utils.set_random_seed(0)
teacher = keras_kd.students.mlp(splits.input_shape, 10, hidden=(256,))
fit(teacher, teacher_epochs, validation_data=splits.validation)
known = measure(teacher, splits.train)["rare"]
print(
    f"The teacher is right on {known:.1%} of the rare digits it learned from."
)

"""
## The students

Small networks, the same first weights in each row. `beta=1.0` lets a class
count as the inverse of its number; the default suits classes of hundreds.
"""


def make_student(seed):
    """Return an untrained student."""
    keras.utils.set_random_seed(seed)
    return keras_kd.students.mlp(splits.input_shape, 10, hidden=(16,))


def train_from_labels(seed):
    """Train a student on the labels alone and measure it."""
    student = make_student(seed)
    fit(student, student_epochs)
    return measure(student)


def distil(seed, **weights):
    """Train a student under soft targets and measure it."""
    student = make_student(seed)
    loss = keras_kd.losses.SoftTargets(temperature=2.0, **weights)
    fit(keras_kd.Distiller(teacher, student, loss, alpha=0.9), student_epochs)
    return measure(student)


balance = keras_kd.losses.ClassBalance(counts, beta=1.0)
ways = {
    "soft targets": {},
    "class_balance": {"class_balance": balance},
    "teacher_correct": {"weighting": "teacher_correct"},
    "both": {"class_balance": balance, "weighting": "teacher_correct"},
}
results = {
    "teacher": [measure(teacher)],
    "labels alone": [train_from_labels(seed) for seed in seeds],
    **{
        name: [distil(seed, **weights) for seed in seeds]
        for name, weights in ways.items()
    },
}


def show(name, measured):
    """Word the mean and the spread of what a few runs measured."""
    values = [run[measured] for run in results[name]]
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1%} ± {spread:.1%}"


print(f"{'':<18}{'recall, rare':<16}{'recall, others':<16}accuracy")
for name in results:
    print(
        f"{name:<18}{show(name, 'rare'):<16}{show(name, 'others'):<16}"
        f"{show(name, 'accuracy')}"
    )

"""
## What to take away

Printed from the numbers above, not typed.
"""


def gain(name, measured, over="soft targets"):
    """Return the mean lead over other students, in points."""
    pairs = zip(results[name], results[over], strict=True)
    return 100 * statistics.mean(a[measured] - b[measured] for a, b in pairs)


for name in ("class_balance", "teacher_correct", "both"):
    print(
        f"{name}: recall of the rare digits {gain(name, 'rare'):+.1f} points "
        f"against plain soft targets, of the others "
        f"{gain(name, 'others'):+.1f}, accuracy {gain(name, 'accuracy'):+.1f}."
    )
print(
    "Against the labels alone, recall of the rare digits: plain soft targets "
    f"{gain('soft targets', 'rare', 'labels alone'):+.1f} points, with "
    f"class_balance {gain('class_balance', 'rare', 'labels alone'):+.1f}."
)
print(json.dumps(results))
