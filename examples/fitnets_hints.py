"""
Title: Hints for a deep, narrow student
Author: keras_kd contributors
Date created: 2026/11/29
Last modified: 2026/11/29
Description: A middle layer of the teacher guides a student hard to train.
Accelerator: None
"""

"""
## Introduction

A deep, narrow network is small and cheap, and hard to train from its last
layer alone. Romero et al. (2015, arXiv:1412.6550) also give it a *hint*: its
middle layer learns to predict a middle layer of the teacher. The two layers
have different widths, so a 1x1 convolution stands between them; it is trained
with the student and is no part of it.

In `keras_kd` a hint is one more loss of the `Distiller`. The paper trains in
two stages, first the hint and then the soft targets; here both are trained
together, as in most code today.
"""

import json
import os
import statistics

import keras
import numpy as np

import keras_kd

fast = os.environ.get("KERAS_KD_FAST") == "1"
teacher_epochs = 4 if fast else 20
student_epochs = 40 if fast else 100
seeds = range(1 if fast else 3)
batch_size = 20

"""
## Data

The digits that come with the package: the teacher sees 1,097 images with their
labels, the student only 100 of them.
"""

(train_images, train_labels), (test_images, test_labels) = (
    keras_kd.data.digits()
)
held_out = 200
validation_data = (train_images[:held_out], train_labels[:held_out])
train_images = train_images[held_out:]
train_labels = train_labels[held_out:]
few = np.concatenate(
    [np.flatnonzero(train_labels == digit)[:10] for digit in range(10)]
)
few_images, few_labels = train_images[few], train_labels[few]
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def accuracy(model):
    """Return the share of test images a model gets right."""
    logits = keras.ops.convert_to_numpy(model(test_images))
    return float((logits.argmax(-1) == test_labels).mean())


"""
## The models

Both have a layer `middle` of 4x4 positions: of 64 channels in the wide
teacher, of 8 in the student, which has eight convolutions.
"""


def make_model(width, before, after, name):
    """Return a convolutional network with a layer `middle`."""
    image = x = keras.Input((8, 8, 1))
    for number in range(before):
        last = number == before - 1
        x = keras.layers.Conv2D(
            width,
            3,
            strides=2 if last else 1,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name="middle" if last else f"early_{number}",
        )(x)
    for number in range(after):
        x = keras.layers.Conv2D(
            width,
            3,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name=f"late_{number}",
        )(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(10)(x), name=name)


keras.utils.set_random_seed(0)
teacher = make_model(64, before=2, after=1, name="teacher")
teacher.compile("adam", loss=cross_entropy, metrics=["accuracy"])
teacher.fit(
    train_images,
    train_labels,
    epochs=teacher_epochs,
    validation_data=validation_data,
    verbose=0,
)


def make_student(seed):
    """Return an untrained student."""
    keras.utils.set_random_seed(seed)
    return make_model(8, before=4, after=4, name="student")


"""
## The students

Three students start from the same weights and take as many steps: from the
labels alone, under soft targets, and under soft targets and the hint.
"""


def train(model):
    """Train a student, or the Distiller of one, on the few images."""
    steps = student_epochs * len(few_images) // batch_size
    model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(5e-3, steps)
        ),
        loss=cross_entropy,
        steps_per_execution=5,
    )
    model.fit(
        few_images,
        few_labels,
        batch_size=batch_size,
        epochs=student_epochs,
        verbose=0,
    )


def train_from_labels(seed):
    """Train a student on the labels alone."""
    student = make_student(seed)
    train(student)
    return accuracy(student)


def distil(seed, hint):
    """Train a student under soft targets, with or without the hint."""
    student = make_student(seed)
    losses = [keras_kd.losses.SoftTargets(temperature=2.0)]
    if hint:
        losses.append(
            keras_kd.losses.Hint(
                teacher_layer="middle",
                student_layer="middle",
                adapter=keras.layers.Conv2D(64, 1),
                weight=10.0,
            )
        )
    train(keras_kd.Distiller(teacher, student, losses, alpha=0.5))
    return accuracy(student)


results = {
    "teacher": accuracy(teacher),
    "scratch": [train_from_labels(seed) for seed in seeds],
    "soft_targets": [distil(seed, hint=False) for seed in seeds],
    "hint": [distil(seed, hint=True) for seed in seeds],
}


def show(values):
    """Word the mean and the spread of a few accuracies."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1%} ± {spread:.1%}"


print("Test accuracy")
print(f"  teacher                  {results['teacher']:.1%}")
print(f"  student, labels alone    {show(results['scratch'])}")
print(f"  soft targets             {show(results['soft_targets'])}")
print(f"  soft targets and hint    {show(results['hint'])}")

"""
## What to take away

Printed from the numbers above, not typed.
"""

means = {
    name: 100 * statistics.mean(results[name])
    for name in ("scratch", "soft_targets", "hint")
}
print(
    f"With 100 images the hint makes the student "
    f"{means['hint'] - means['soft_targets']:+.1f} points better than soft "
    f"targets alone, and {means['hint'] - means['scratch']:+.1f} points better "
    "than the labels alone."
)
print(json.dumps(results))
