"""
Title: Distil a student on images without labels
Author: keras_kd contributors
Date created: 2026/11/21
Last modified: 2026/11/21
Description: MNIST without labels, then without a single 3 in the data.
Accelerator: None
"""

"""
## Introduction

A teacher's output says more than a label: a 3 that looks a little like an 8
gets a little probability on 8. Hinton, Vinyals and Dean (2015,
arXiv:1503.02531, section 3) showed how much more: a student distilled without
ever seeing a 3 recognizes threes.

This example repeats their MNIST experiments on fewer images and with a
smaller student, so that it runs in about a minute on a CPU. The paper's sizes
are in the comments.
"""

import json
import os
import statistics

import keras
import numpy as np

import keras_kd

fast = os.environ.get("KERAS_KD_FAST") == "1"
num_images = 2_000 if fast else 4_000  # The paper: 60,000.
hidden_units = 300  # The paper: 800.
teacher_epochs = 12 if fast else 24
student_epochs = 15 if fast else 20
seeds = range(1 if fast else 3)
batch_size = 128

"""
## Data

MNIST comes from TensorFlow Datasets: a folder that holds it is named by the
environment variable `TFDS_DATA_DIR`.
"""

try:
    splits = keras_kd.data.load("mnist", max_train=num_images)
except (ImportError, OSError) as error:
    print(json.dumps({"skipped": f"This example needs MNIST. {error}"}))
    raise SystemExit(0) from error


def as_arrays(dataset):
    """Return the images and labels of a dataset."""
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


train_images, train_labels = as_arrays(splits.train)
validation_images, validation_labels = as_arrays(splits.validation)
test_images, test_labels = as_arrays(splits.test)
validation_data = (validation_images, validation_labels)
print(f"{len(train_images)} images, {len(test_images)} test images")

"""
## The teacher

The paper's: two hidden layers of 1,200 units with dropout, trained on images
jittered by up to two pixels in any direction. With few images a dropout of
0.2 is enough.
"""

cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_optimizer(num_examples, epochs):
    """Return Adam with a learning rate that falls to zero."""
    steps = epochs * -(-num_examples // batch_size)
    return keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(1e-3, steps)
    )


keras.utils.set_random_seed(0)
jitter = keras.layers.RandomTranslation(
    2 / 28, 2 / 28, fill_mode="constant", interpolation="nearest"
)
network = keras_kd.students.mlp(
    (28, 28, 1),
    10,
    hidden=(1200, 1200),
    dropout=0.2,
)
image = keras.Input((28, 28, 1), name="image")
teacher = keras.Model(image, network(jitter(image)), name="teacher")
teacher.compile(
    make_optimizer(len(train_images), teacher_epochs),
    loss=cross_entropy,
    metrics=["accuracy"],
    steps_per_execution=10,
)
teacher.fit(
    train_images,
    train_labels,
    batch_size=batch_size,
    epochs=teacher_epochs,
    validation_data=validation_data,
    verbose=0,
)

"""
## Two ways to train the same student

From labels alone, or from the teacher alone: `alpha=1.0` leaves the labels
out, so `fit` gets images and nothing else. Both take the same steps from the
same first weights. The student has neither jitter nor dropout.
"""


def make_student(seed):
    """Return an untrained student."""
    keras.utils.set_random_seed(seed)
    return keras_kd.students.mlp(
        (28, 28, 1), 10, hidden=(hidden_units, hidden_units)
    )


def train_from_labels(images, labels, seed):
    """Train a student on labels."""
    student = make_student(seed)
    student.compile(
        make_optimizer(len(images), student_epochs),
        loss=cross_entropy,
        metrics=["accuracy"],
        steps_per_execution=10,
    )
    student.fit(
        images,
        labels,
        batch_size=batch_size,
        epochs=student_epochs,
        validation_data=validation_data,
        verbose=0,
    )
    return student


def distil(images, seed):
    """Train a student on what the teacher says about the images."""
    student = make_student(seed)
    distiller = keras_kd.Distiller(
        teacher, student, alpha=1.0, temperature=20.0
    )
    distiller.compile(
        make_optimizer(len(images), student_epochs), steps_per_execution=10
    )
    distiller.fit(
        images, batch_size=batch_size, epochs=student_epochs, verbose=0
    )
    return student


def predict(model, images):
    """Return the logits of a model."""
    return model.predict(images, batch_size=1_000, verbose=0)


def count_errors(model):
    """Count the test images a model gets wrong."""
    return int((predict(model, test_images).argmax(-1) != test_labels).sum())


teacher_errors = count_errors(teacher)
scratch_errors = [
    count_errors(train_from_labels(train_images, train_labels, seed))
    for seed in seeds
]
distilled_errors = [count_errors(distil(train_images, seed)) for seed in seeds]


def show(values):
    """Word the mean and the spread of a few values."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.0f} ± {spread:.0f}"


def show_row(name, here, paper):
    """Print a line of the table."""
    print(f"  {name:<38} {here:<10} {paper}")


print("Test errors of 10,000                    here       the paper")
show_row("teacher", teacher_errors, 67)
show_row("student, labels alone", show(scratch_errors), 146)
show_row("student, no labels, temperature 20", show(distilled_errors), 74)

"""
## The omitted digit

Now every 3 is left out of the images. To the student it is a mythical digit:
it never sees one, and knows of it only what the teacher says about other
digits. Most of its errors on threes come from a bias that is too low, since
class 3 was never the answer. So raise that bias, by the amount that is best
on the validation images (the paper chose it on the test images).
"""


def raise_bias(model, digits, amounts):
    """Add to the biases of some digits what is best on validation images."""
    logits = predict(model, validation_images)
    classes = np.isin(np.arange(10), digits)
    wrong = [
        (logits + amount * classes).argmax(-1) != validation_labels
        for amount in amounts
    ]
    best = amounts[int(np.argmin([rows.mean() for rows in wrong]))]
    bias = model.get_layer("logits").bias
    bias.assign_add(best * classes.astype("float32"))
    return float(best)


def count_errors_of(model, digit):
    """Count the test images of one digit a model gets wrong."""
    images = test_images[test_labels == digit]
    return int((predict(model, images).argmax(-1) != digit).sum())


without_threes = train_images[train_labels != 3]
rows = []
for seed in seeds:
    student = distil(without_threes, seed)
    before = (count_errors(student), count_errors_of(student, 3))
    raised = raise_bias(student, [3], np.arange(0.0, 10.1, 0.5))
    after = (count_errors(student), count_errors_of(student, 3))
    rows.append([*before, raised, *after])
columns = [list(column) for column in zip(*rows, strict=True)]
omitted = dict(
    zip(
        ("errors", "on_threes", "raised_by", "errors_after", "on_threes_after"),
        columns,
        strict=True,
    )
)
num_threes = int((test_labels == 3).sum())
print(f"No 3 among the images ({num_threes:,} of the test images are threes)")
show_row("errors", show(columns[0]), 206)
show_row("  on threes", show(columns[1]), 133)
show_row("bias of class 3 raised by", f"{np.mean(columns[2]):.1f}", 3.5)
show_row("errors then", show(columns[3]), 109)
show_row("  on threes", show(columns[4]), 14)

"""
## Only sevens and eights

The same with two digits left: everything else is known by hearsay. Here the
two biases are far too high, so they are lowered.
"""

only_sevens_and_eights = train_images[np.isin(train_labels, [7, 8])]
rows = []
for seed in seeds:
    student = distil(only_sevens_and_eights, seed)
    before = count_errors(student) / len(test_labels)
    lowered = -raise_bias(student, [7, 8], np.arange(-20.0, 0.1, 0.5))
    rows.append([before, lowered, count_errors(student) / len(test_labels)])
columns = [list(column) for column in zip(*rows, strict=True)]
sevens_and_eights = dict(
    zip(("error_rate", "lowered_by", "error_rate_after"), columns, strict=True)
)
print("Only 7s and 8s among the images")
show_row("error rate", f"{np.mean(columns[0]):.1%}", "47.3%")
show_row("their biases lowered by", f"{np.mean(columns[1]):.1f}", 7.6)
show_row("error rate then", f"{np.mean(columns[2]):.1%}", "13.2%")

"""
## What to take away

Printed from the numbers above, not typed.
"""

scratch, distilled = map(statistics.mean, (scratch_errors, distilled_errors))
repaired = 1 - np.mean(omitted["on_threes_after"]) / np.mean(
    omitted["on_threes"]
)
print(
    f"Without a single label the student makes {1 - distilled / scratch:.0%} "
    "fewer errors than with all of them.\n"
    f"It recognizes {1 - np.mean(omitted['on_threes']) / num_threes:.0%} of "
    "the threes without having seen one; raising one bias repairs "
    f"{repaired:.0%} of its errors on them."
)
results = {
    "teacher": teacher_errors,
    "scratch": scratch_errors,
    "distilled": distilled_errors,
    "num_threes": num_threes,
    "omitted": omitted,
    "sevens_and_eights": sevens_and_eights,
}
print(json.dumps(results))
