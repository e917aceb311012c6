"""
Title: Run the teacher once
Author: keras_kd contributors
Date created: 2026/11/21
Last modified: 2026/11/21
Description: A cache of the teacher's outputs, and what it saves.
Accelerator: None
"""

"""
## Introduction

A teacher that runs beside the student says the same thing about the same
image in every epoch. `keras_kd.TeacherCache` asks it once and stores the
answers under a hash of each image's content, so that shuffled, repeated or
re-batched data find them again. What is stored are logits, so the temperature
may change from one run to the next.
"""

import json
import os
import statistics
import tempfile
import time

import keras
import numpy as np

import keras_kd

fast = os.environ.get("KERAS_KD_FAST") == "1"
teacher_width = 0.25 if fast else 2.0
teacher_epochs = 1 if fast else 8
student_epochs = 1 if fast else 15
timed_epochs = 1 if fast else 6
seeds = range(1 if fast else 3)
temperatures = (4.0,) if fast else (1.0, 2.0, 4.0)
batch_size = 32

"""
## Data and teacher

The digits that come with the package, and a convolutional teacher.
"""

(train_images, train_labels), (test_images, test_labels) = (
    keras_kd.data.digits()
)
held_out = 200
validation_data = (train_images[:held_out], train_labels[:held_out])
train_images = train_images[held_out:]
train_labels = train_labels[held_out:]
test_data = (test_images, test_labels)
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
teacher = keras_kd.students.convnet((8, 8, 1), 10, width=teacher_width)
teacher.compile("adam", loss=cross_entropy, metrics=["accuracy"])
teacher.fit(
    make_dataset(),
    epochs=teacher_epochs,
    validation_data=validation_data,
    verbose=0,
)

"""
## Build the cache

One pass over the data. Kill it and run it again: it goes on where it was.
Float32 keeps the logits exactly; the default float16 takes half the space.
"""

folder = tempfile.TemporaryDirectory()
started = time.perf_counter()
cache = keras_kd.TeacherCache.build(
    folder.name, teacher, make_dataset(), dtype="float32", verbose=0
)
build_seconds = time.perf_counter() - started
info = cache.info()
print(
    f"{len(cache):,} examples stored in {build_seconds:.2f} s, "
    f"{info['bytes_per_example']:.0f} bytes each"
)

"""
## Distil from it

`join` puts the stored outputs beside the inputs, in any order; the cache
stands where the teacher stood. Everything else is the same.
"""


def make_student(seed):
    """Return an untrained student of a two-hundredth of the teacher's size."""
    keras.utils.set_random_seed(seed)
    return keras_kd.students.convnet(
        (8, 8, 1), 10, filters=(16, 32), convs_per_stage=1
    )


def compile_model(model):
    """Compile a student or a Distiller."""
    model.compile(
        keras.optimizers.Adam(5e-3),
        loss=cross_entropy,
        metrics=["accuracy"],
        steps_per_execution=10,
    )


def make_distiller(source, seed, temperature=4.0):
    """Return a compiled Distiller whose teacher is a model or a cache."""
    distiller = keras_kd.Distiller(
        source, make_student(seed), alpha=0.9, temperature=temperature
    )
    compile_model(distiller)
    return distiller


live = make_distiller(teacher, seed=0)
live.fit(make_dataset(), validation_data=validation_data, epochs=3, verbose=0)
cached = make_distiller(cache, seed=0)
cached.fit(
    cache.join(make_dataset()),
    validation_data=validation_data,
    epochs=3,
    verbose=0,
)
difference = max(
    float(np.abs(one - other).max())
    for one, other in zip(
        live.student.get_weights(), cached.student.get_weights(), strict=True
    )
)
print(
    "After 3 epochs the weights of the two students differ by at most "
    f"{difference:.1g}"
)

"""
## What an epoch costs

The teacher's share of each epoch is gone; the build is paid once.
"""


def time_epochs(model, dataset):
    """Return the seconds of the fastest of a few epochs."""
    model.fit(dataset, verbose=0)  # Traces the graph.
    seconds = []
    for _ in range(timed_epochs):
        started = time.perf_counter()
        model.fit(dataset, verbose=0)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


alone = make_student(seed=0)
compile_model(alone)
alone_seconds = time_epochs(alone, make_dataset())
cached_seconds = time_epochs(cached, cache.join(make_dataset()).prefetch(2))
live_seconds = time_epochs(live, make_dataset())
print("Seconds an epoch")
print(f"  student alone        {alone_seconds:.3f}")
print(f"  under the cache      {cached_seconds:.3f}")
print(f"  under a live teacher {live_seconds:.3f}")

"""
## Several temperatures from one cache

Every run below takes the same number of steps; none runs the teacher.
"""


def accuracy(student):
    """Return the share of test images a student gets right."""
    return keras_kd.evaluate(student, test_data).accuracy


def train_from_labels(seed):
    """Train a student on labels alone."""
    student = make_student(seed)
    compile_model(student)
    student.fit(
        make_dataset(seed),
        validation_data=validation_data,
        epochs=student_epochs,
        verbose=0,
    )
    return accuracy(student)


def distil(temperature, seed):
    """Train a student on labels and on the stored outputs."""
    distiller = make_distiller(cache, seed, temperature)
    distiller.fit(
        cache.join(make_dataset(seed)).prefetch(2),
        validation_data=validation_data,
        epochs=student_epochs,
        verbose=0,
    )
    return accuracy(distiller.student)


def show(values):
    """Word the mean and the spread of a few accuracies."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1%} ± {spread:.1%}"


teacher_accuracy = accuracy(teacher)
scratch = [train_from_labels(seed) for seed in seeds]
distilled = {
    temperature: [distil(temperature, seed) for seed in seeds]
    for temperature in temperatures
}
print("Test accuracy")
print(f"  teacher                    {teacher_accuracy:.1%}")
print(f"  student, labels alone      {show(scratch)}")
for temperature, values in distilled.items():
    print(f"  distilled, temperature {temperature:.0f}   {show(values)}")

"""
## What to take away

Printed from the numbers above, not typed.
"""

runs = len(seeds) * len(temperatures)
saved = runs * student_epochs * (live_seconds - cached_seconds) - build_seconds
print(
    f"An epoch under the cache takes {cached_seconds / alone_seconds:.2f} of "
    "one of the student alone, and one under a live teacher "
    f"{live_seconds / alone_seconds:.1f}. The {runs} runs above took "
    f"{saved:.0f} s less than with a live teacher, the build included, and "
    f"the weights are the same to {difference:.1g}."
)
folder.cleanup()
results = {
    "examples": len(cache),
    "bytes_per_example": info["bytes_per_example"],
    "build_seconds": build_seconds,
    "difference": difference,
    "alone_seconds": alone_seconds,
    "cached_seconds": cached_seconds,
    "live_seconds": live_seconds,
    "teacher": teacher_accuracy,
    "scratch": scratch,
    "distilled": {str(key): values for key, values in distilled.items()},
}
print(json.dumps(results))
