"""
Title: A student that is trained for its int8 file
Author: keras_kd contributors
Date created: 2026/11/21
Last modified: 2026/11/21
Description: int8 after training beside quantization-aware distillation.
Accelerator: None
"""

"""
## Introduction

Microcontrollers and NPUs compute in 8-bit whole numbers. A converter can round
a finished student to them, with ranges from a few hundred examples; a narrow
student, above all one with depthwise convolutions, loses accuracy in it.
`keras_kd.quantization.quantize_aware` makes a student that computes as its
file will. Trained on for a few epochs under the same teacher, it learns weights
that survive the rounding (Jacob et al. 2018, arXiv:1712.05877), and brings the
ranges along: its export needs no calibration.
"""

import json
import os
import statistics
import tempfile
from pathlib import Path

import keras

import keras_kd

fast = os.environ.get("KERAS_KD_FAST") == "1"
teacher_epochs = 4 if fast else 10
student_epochs = 8 if fast else 20
more_epochs = 3 if fast else 10
seeds = range(1 if fast else 3)
batch_size = 32

"""
## Data and teacher

The digits that come with the package, and a convolutional teacher, which runs
once over the training images (see `cache_and_distill.py`).
"""

(train_images, train_labels), (test_images, test_labels) = (
    keras_kd.data.digits()
)
held_out = 200
validation_data = (train_images[:held_out], train_labels[:held_out])
train_images = train_images[held_out:]
train_labels = train_labels[held_out:]
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_dataset(seed=0):
    """Return the training set, shuffled anew each epoch."""
    return keras_kd.data.from_arrays(
        train_images,
        train_labels,
        batch_size=batch_size,
        shuffle=True,
        seed=seed,
    )


keras.utils.set_random_seed(0)
teacher = keras_kd.students.convnet((8, 8, 1), 10)
teacher.compile("adam", loss=cross_entropy, steps_per_execution=10)
teacher.fit(
    make_dataset(),
    epochs=teacher_epochs,
    validation_data=validation_data,
    verbose=0,
)
folder = tempfile.TemporaryDirectory()
cache = keras_kd.TeacherCache.build(
    Path(folder.name, "cache"), teacher, make_dataset(), verbose=0
)

"""
## One student, twice

A narrow network of depthwise separable convolutions. Once it is trained, it
goes on in two ways, for as many steps and at the same tenth of the learning
rate: as it is, and quantize-aware.
"""


def distil(student, seed, epochs, learning_rate):
    """Train a student under the cached teacher."""
    steps = epochs * len(make_dataset())
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    distiller = keras_kd.Distiller(cache, student, alpha=0.9)
    distiller.compile(
        keras.optimizers.Adam(schedule),
        loss=cross_entropy,
        steps_per_execution=10,
    )
    distiller.fit(
        cache.join(make_dataset(seed)),
        validation_data=validation_data,
        epochs=epochs,
        verbose=0,
    )


def accuracy(model_or_file):
    """Return the share of test images a model or a file gets right."""
    found = keras_kd.evaluate(
        model_or_file, (test_images, test_labels), latency=False
    )
    return found.accuracy


def train_and_export(seed):
    """Return accuracies: the float student, and its int8 file made twice."""
    keras.utils.set_random_seed(seed)
    student = keras_kd.students.ds_cnn(
        (8, 8, 1), 10, width=0.25, kernel_size=(3, 3)
    )
    distil(student, seed, student_epochs, learning_rate=1e-2)
    aware = keras_kd.quantization.quantize_aware(student)
    distil(student, seed, more_epochs, learning_rate=1e-3)
    distil(aware, seed, more_epochs, learning_rate=1e-3)
    after = Path(folder.name, "after_training.tflite")
    keras_kd.export.tflite(
        student, after, "int8", calibration=train_images, verify=False
    )
    during = Path(folder.name, "quantize_aware.tflite")
    check = keras_kd.export.tflite(
        aware, during, "int8", verify=(test_images, test_labels)
    )
    return {
        "float": accuracy(student),
        "after_training": accuracy(after),
        "quantize_aware": accuracy(during),
        "agreement": check.agreement,
        "size_bytes": check.size_bytes,
    }


rows = [train_and_export(seed) for seed in seeds]
results = {name: [row[name] for row in rows] for name in rows[0]}
results["teacher"] = accuracy(teacher)


def show(name):
    """Word the mean and the spread of a few accuracies."""
    values = results[name]
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1%} ± {spread:.1%}"


print("Test accuracy")
print(f"  the teacher                         {results['teacher']:.1%}")
print(f"  student, float                      {show('float')}")
print(f"  its int8 file, made after training  {show('after_training')}")
print(f"  int8 file of the quantize-aware     {show('quantize_aware')}")

"""
## What to take away

Printed from the numbers above, not typed.
"""

float_mean, after_mean, aware_mean, agreement = (
    statistics.mean(results[name])
    for name in ("float", "after_training", "quantize_aware", "agreement")
)
print(
    f"Rounded after training, the student is "
    f"{100 * (after_mean - float_mean):+.1f} points from its float self; "
    f"trained for it, {100 * (aware_mean - float_mean):+.1f}, in a file of "
    f"{results['size_bytes'][0] / 1000:.0f} kB that needed no calibration and "
    f"picks what `predict` picks on {agreement:.1%} of the images."
)
print(json.dumps(results))
