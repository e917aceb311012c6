"""
Title: Which strategy for which size? Four ways to train a student
Author: keras_kd contributors
Date created: 2026/11/29
Last modified: 2026/11/29
Description: Labels, hard labels, soft targets, squared error on CIFAR-10.
Accelerator: None
"""

"""
## Introduction

A teacher can teach in three plain ways: by its answer alone (`HardLabels`), by
its softened probabilities (`SoftTargets`), or by its logits, which the student
is to repeat (`LogitsMSE`). Which is best depends on the data, on the teacher
and on how small the student is, so it is measured: each way trains students of
two sizes, from the same first weights and for equal steps, and beside them
learns a student from the labels alone.

The end is what one wants to know of it: the best strategy for a file of a
given size.
"""

import json
import os
import statistics
import tempfile

import keras
import numpy as np

import keras_kd

fast = os.environ.get("KERAS_KD_FAST") == "1"
num_images = 2_000 if fast else 5_000
num_held_out = 500 if fast else 2_000
teacher_width = 1.0 if fast else 2.0
epochs = 12 if fast else 25
widths = (0.5,) if fast else (0.25, 0.5)
seeds = range(1 if fast else 3)
limits = ("15kB",) if fast else ("15kB", "40kB")

"""
## Data

Slices of CIFAR-10. Strategies are compared on the validation images; the test
images are for the last sentence.
"""

try:
    import tensorflow_datasets as tfds

    train, validation, test = tfds.load(
        "cifar10_jpeg",
        split=[
            f"train[:{num_images}]",
            f"train[-{num_held_out}:]",
            f"test[:{num_held_out}]",
        ],
        batch_size=-1,
        as_supervised=True,
        download=False,
    )
except (ImportError, OSError) as error:
    missing = "This example needs cifar10_jpeg of tensorflow-datasets."
    print(json.dumps({"skipped": f"{missing} {error}"}))
    raise SystemExit(0) from error

splits = keras_kd.data.load(
    {"train": train, "validation": validation, "test": test}, batch_size=32
)
print(f"{splits.num_train:,} images, {splits.num_test:,} test images")

"""
## The models

One network in three widths.
"""


def make_model(width, seed):
    """Return an untrained network; its maps shrink fast, to be quick here."""
    keras.utils.set_random_seed(seed)
    image = x = keras.Input(splits.input_shape)
    for filters in (32, 64) if fast else (32, 64, 128):
        x = keras.layers.Conv2D(
            int(width * filters),
            3,
            strides=2,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
        )(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(splits.num_classes)(x))


def fit(model, data, validation_data=None):
    """Train a model or a Distiller."""
    steps = epochs * len(data)
    rate = keras.optimizers.schedules.CosineDecay(5e-3, steps)
    model.compile(
        keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=5,
    )
    model.fit(
        data,
        validation_data=validation_data,
        epochs=epochs,
        shuffle=False,
        verbose=0,
    )


def accuracy(model, data):
    """Return the share of images a model gets right."""
    right = [
        keras.ops.convert_to_numpy(model(images)).argmax(-1) == labels
        for images, labels in data.as_numpy_iterator()
    ]
    return float(np.concatenate(right).mean())


teacher = make_model(teacher_width, seed=0)
fit(teacher, splits.train, validation_data=splits.validation)

"""
The teacher looks at each image once. What it says is cached, and joined to the
images in whatever order they come.
"""

folder = tempfile.mkdtemp()
cache = keras_kd.TeacherCache.build(
    f"{folder}/cache", teacher, splits.train, verbose=0
)
told = cache.join(splits.train)

"""
## The strategies

`alpha=1.0` leaves the labels out: these students learn from the teacher alone.
"""

strategies = {
    "labels alone": None,
    "hard labels of the teacher": keras_kd.losses.HardLabels,
    "soft targets": keras_kd.losses.SoftTargets,
    "squared error of logits": keras_kd.losses.LogitsMSE,
}


def train_student(strategy, width, seed):
    """Return a student trained by a strategy."""
    student = make_model(width, seed)
    if strategies[strategy] is None:
        fit(student, splits.train)
    else:
        loss = strategies[strategy]()
        distiller = keras_kd.Distiller(cache, student, loss, alpha=1.0)
        fit(distiller, told)
    return student


students = {
    (strategy, width): [train_student(strategy, width, s) for s in seeds]
    for width in widths
    for strategy in strategies
}
reached = {
    key: [accuracy(each, splits.validation) for each in trained]
    for key, trained in students.items()
}


def show(values):
    """Word the mean and the spread of a few accuracies."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1%} ± {spread:.1%}"


"""
The size of a file does not depend on what its weights learned, so one student
of each width is converted.
"""

size_bytes = {}
for width in widths:
    check = keras_kd.export.tflite(
        students["soft targets", width][0],
        f"{folder}/{width}.tflite",
        "int8",
        calibration=splits.train.map(lambda x, y: x),
    )
    size_bytes[width] = os.path.getsize(check.path)

teacher_accuracy = accuracy(teacher, splits.validation)
right_in_training = accuracy(teacher, splits.train)
print(
    f"Accuracy on validation images; teacher: {teacher_accuracy:.1%} "
    f"(on the images that it learned: {right_in_training:.1%})"
)
sized = "".join(f"{size_bytes[width]:>11,} bytes" for width in widths)
print(f"{'':<28}{sized}")
for strategy in strategies:
    row = "".join(f"{show(reached[strategy, w]):>17}" for w in widths)
    print(f"{strategy:<28}{row}")

"""
## What to take away

Printed from the numbers above, not typed. The strategy is chosen on validation
images, and its lead is measured on test images.
"""

choices = {}
for limit in limits:
    most = 1_000 * int(limit.removesuffix("kB"))
    fitting = [key for key in students if size_bytes[key[1]] <= most]
    strategy, width = max(fitting, key=lambda k: statistics.mean(reached[k]))
    choices[limit] = {
        "strategy": strategy,
        "width": width,
        "size_bytes": size_bytes[width],
        **{
            name: [accuracy(each, splits.test) for each in students[key, width]]
            for name, key in (("test", strategy), ("labels", "labels alone"))
        },
    }
    print(
        f"Within {limit}: {strategy}, width {width}. Test accuracy "
        f"{show(choices[limit]['test'])}, with the labels alone "
        f"{show(choices[limit]['labels'])}."
    )
results = {
    "teacher": teacher_accuracy,
    "right_in_training": right_in_training,
    "accuracy": {f"{s}, {w}": found for (s, w), found in reached.items()},
    "choices": choices,
}
print(json.dumps(results))
