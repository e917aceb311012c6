"""
Title: Plain KL on MNIST, at temperatures below and above 1
Author: keras_kd contributors
Date created: 2026/11/29
Last modified: 2026/11/29
Description: What the temperature does, and what the factor T squared is for.
Accelerator: None
"""

"""
## Introduction

A first experiment with distillation is often this one: a network of 784-500-10
units learns MNIST from a larger one, and its loss is the Kullback-Leibler
divergence of two softmaxes at a temperature T. Two questions come up at once.
What does T do? Below 1 the teacher's probabilities get harder, until only its
answer is left; above 1 they get softer. And why do Hinton, Vinyals and Dean
(2015, arXiv:1503.02531) multiply the divergence by T squared? Because its
gradient falls with T squared, and beside a loss of the labels it would soon
not count.

Here the labels count half, so both can be seen.
"""

import json
import os
import statistics

import keras

import keras_kd

fast = os.environ.get("KERAS_KD_FAST") == "1"
num_images = 1_000 if fast else 2_000
num_teacher_images = 4_000 if fast else 20_000
num_test = 1_000 if fast else 10_000
teacher_epochs = 3 if fast else 5
student_epochs = 10 if fast else 20
hidden = (500, 500) if fast else (1200, 1200)
temperatures = (0.5, 1.0, 8.0) if fast else (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
seeds = range(1 if fast else 3)

"""
## Data

Slices of MNIST, as arrays; `keras_kd.data.load` scales and batches them. The
teacher learns from many images, the student from a few of them.
"""

try:
    import tensorflow_datasets as tfds

    train, validation, test = tfds.load(
        "mnist",
        split=[
            f"train[:{num_teacher_images}]",
            "train[-1000:]",
            f"test[:{num_test}]",
        ],
        batch_size=-1,
        as_supervised=True,
        download=False,
    )
except (ImportError, OSError) as error:
    missing = "This example needs mnist of tensorflow-datasets."
    print(json.dumps({"skipped": f"{missing} {error}"}))
    raise SystemExit(0) from error

parts = {"train": train, "validation": validation, "test": test}
many = keras_kd.data.load(parts, batch_size=100)
few = keras_kd.data.load(parts, batch_size=100, max_train=num_images)
print(
    f"{many.num_train:,} images for the teacher, {few.num_train:,} for the "
    f"student, {few.num_test:,} test images"
)

"""
## The models

The teacher has two layers and dropout, the student one layer of 500 units.
"""

cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def train_model(model, splits, epochs, validation_data=None):
    """Train a model or a Distiller."""
    steps = epochs * len(splits.train)
    rate = keras.optimizers.schedules.CosineDecay(1e-3, steps)
    model.compile(
        keras.optimizers.Adam(rate),
        loss=cross_entropy,
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


keras.utils.set_random_seed(0)
teacher = keras_kd.students.mlp(
    many.input_shape, 10, hidden=hidden, dropout=0.3
)
train_model(teacher, many, teacher_epochs, validation_data=many.validation)


def measure(model):
    """Measure a model on the test images, beside the teacher."""
    found = keras_kd.evaluate(model, few.test, teacher, latency=False)
    return {
        "errors": round((1 - found.accuracy) * few.num_test),
        "agreement": found.agreement,
        "calibration_error": found.calibration_error,
    }


def make_student(seed):
    """Return an untrained network of 784-500-10 units."""
    keras.utils.set_random_seed(seed)
    return keras_kd.students.mlp(few.input_shape, 10, hidden=(500,))


"""
## One student for each temperature, with and without the factor

`SoftTargets` has the factor T squared. A `weight` of 1 / T squared takes it
out, and what is left is plain KL.
"""


def distil(seed, temperature, plain):
    """Train a student and measure it."""
    loss = keras_kd.losses.SoftTargets(
        temperature, weight=1 / temperature**2 if plain else 1.0
    )
    student = make_student(seed)
    distiller = keras_kd.Distiller(teacher, student, loss, alpha=0.5)
    train_model(distiller, few, student_epochs)
    return measure(student)


def train_from_labels(seed):
    """Train a student on the labels alone and measure it."""
    student = make_student(seed)
    train_model(student, few, student_epochs)
    return measure(student)


runs = {"labels alone": [train_from_labels(seed) for seed in seeds]}
for temperature in temperatures:
    name = f"T = {temperature:g}"
    runs[f"plain KL, {name}"] = [
        distil(seed, temperature, plain=True) for seed in seeds
    ]
    if temperature > 1:
        runs[f"T squared, {name}"] = [
            distil(seed, temperature, plain=False) for seed in seeds
        ]


def mean(name, measured):
    """Return the mean of what a few runs measured."""
    return statistics.mean(run[measured] for run in runs[name])


def spread(name, measured):
    """Return their standard deviation."""
    values = [run[measured] for run in runs[name]]
    return statistics.stdev(values) if len(values) > 1 else 0.0


def errors(name):
    """Word the mean and the spread of the errors of a few runs."""
    return f"{mean(name, 'errors'):.0f} ± {spread(name, 'errors'):.0f}"


def calibration(name):
    """Word the mean calibration error of a few runs."""
    return f"{mean(name, 'calibration_error'):.3f}"


teacher_errors = measure(teacher)["errors"]
print(f"teacher: {teacher_errors} errors of {few.num_test:,}")
print(f"{'student':<22}{'errors':<12}{'agreement':<12}calibration error")
for name in runs:
    print(
        f"{name:<22}{errors(name):<12}{mean(name, 'agreement'):<12.1%}"
        f"{calibration(name)}"
    )

"""
## What to take away

Printed from the numbers above, not typed.
"""


low, high = (f"T = {temperatures[at]:g}" for at in (0, -1))
best = min(runs, key=lambda name: mean(name, "errors"))
print(
    f"Fewest errors: {best}, {errors(best)}, against {errors('labels alone')} "
    "with the labels alone.\n"
    f"Calibration error: {calibration('labels alone')} with the labels alone; "
    f"{calibration(f'plain KL, {high}')} with plain KL at {high}, "
    f"{calibration(f'T squared, {high}')} with the factor T squared; "
    f"{calibration(f'plain KL, {low}')} with plain KL at {low}, whose targets "
    "are surer than the teacher is."
)
print(json.dumps({"teacher": teacher_errors, "runs": runs}))
