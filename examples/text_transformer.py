"""
Title: Distil a text transformer
Author: keras_kd contributors
Date created: 2026/11/29
Last modified: 2026/11/29
Description: A small transformer learns intents from texts without labels.
Accelerator: None
"""

"""
## Introduction

A transformer that is trained from nothing needs many labelled texts. Where
only a few have labels, a teacher can say something about all the others:
Turc et al. (2019, arXiv:1908.08962) pre-train small transformers and distil
them on texts that nobody labelled. The pre-training is left out here.

The teacher here is small, too, and trained on all labels, so that the example
runs in minutes on a CPU. Its students get a tenth of the labels, all of them,
or none.
"""

import json
import os
import statistics

import keras
import numpy as np

import keras_kd

fast = os.environ.get("KERAS_KD_FAST") == "1"
num_intents = 10 if fast else 40  # Of 150.
teacher_epochs = 8 if fast else 15
student_steps = 200 if fast else 1_000
seeds = range(1 if fast else 3)
batch_size = 50
vocabulary_size = 2_000
length = 16  # Words.

"""
## Data

What people ask an assistant, such as "what's the day of the week", and the
intent behind each question: clinc_oos from TensorFlow Datasets, in the folder
that the environment variable `TFDS_DATA_DIR` names. We keep the first few
intents.

No `.tflite` file takes strings. So the words are looked up before the models,
which take their numbers.
"""

try:
    splits = keras_kd.data.load("clinc_oos")
except (ImportError, OSError) as error:
    print(json.dumps({"skipped": f"This example needs clinc_oos. {error}"}))
    raise SystemExit(0) from error


def as_arrays(dataset):
    """Return the texts and labels of the intents that we keep."""
    texts, labels = map(
        np.concatenate, zip(*dataset.as_numpy_iterator(), strict=True)
    )
    return texts[labels < num_intents], labels[labels < num_intents]


train_texts, train_labels = as_arrays(splits.train)
validation_texts, validation_labels = as_arrays(splits.validation)
test_texts, test_labels = as_arrays(splits.test)

look_up = keras.layers.TextVectorization(
    vocabulary_size, output_sequence_length=length
)
look_up.adapt(train_texts)
train = np.array(look_up(train_texts))
validation_data = (np.array(look_up(validation_texts)), validation_labels)
test_data = (np.array(look_up(test_texts)), test_labels)
print(
    f"{len(train)} texts of {num_intents} intents, {len(test_labels)} to test"
)

"""
## The teacher
"""

cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_optimizer(steps, learning_rate):
    """Return Adam with a learning rate that falls to zero."""
    return keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    )


def make_model(width, depth):
    """Return an untrained transformer."""
    return keras_kd.students.text_transformer(
        (length,),
        num_intents,
        width=width,
        depth=depth,
        vocabulary_size=vocabulary_size,
    )


keras.utils.set_random_seed(0)
teacher = make_model(width=0.5, depth=2)
teacher.compile(
    make_optimizer(teacher_epochs * len(train) // batch_size, 2e-3),
    loss=cross_entropy,
    metrics=["accuracy"],
    steps_per_execution=10,
)
teacher.fit(
    train,
    train_labels,
    batch_size=batch_size,
    epochs=teacher_epochs,
    validation_data=validation_data,
    verbose=0,
)

"""
## The students

One block with an eighth of the width. All start from the same weights and
take the same number of steps. One network serves them all, so that each way of
training is compiled once.
"""


def make_student(seed):
    """Return an untrained student."""
    keras.utils.set_random_seed(seed)
    return make_model(width=0.125, depth=1)


student = make_student(seed=0)
distiller = keras_kd.Distiller(teacher, student, alpha=1.0, temperature=2.0)
student.compile(
    make_optimizer(student_steps, 5e-3),
    loss=cross_entropy,
    steps_per_execution=10,
)
distiller.compile(make_optimizer(student_steps, 5e-3), steps_per_execution=10)
untrained = {}
for model in (student, distiller):
    model.optimizer.build(student.trainable_variables)
    untrained[model] = [each.numpy() for each in model.optimizer.variables]


def choices(model):
    """Return the intents that a model finds in the test texts."""
    return model.predict(test_data[0], verbose=0).argmax(-1)


def train_student(model, texts, labels, seed):
    """Train the student anew; return its accuracy and its agreement."""
    student.set_weights(make_student(seed).get_weights())
    for variable, value in zip(
        model.optimizer.variables, untrained[model], strict=True
    ):
        variable.assign(value)
    batches = keras_kd.data.from_arrays(
        texts, labels, batch_size=batch_size, shuffle=True, seed=seed
    )
    model.fit(batches.repeat(), steps_per_epoch=student_steps, verbose=0)
    found = choices(student)
    return float((found == test_labels).mean()), float(
        (found == of_teacher).mean()
    )


of_teacher = choices(teacher)
few = len(train) // 10
runs = {
    "few_labels": (student, train[:few], train_labels[:few]),
    "all_labels": (student, train, train_labels),
    "distilled": (distiller, train, None),
}
found = {
    name: [train_student(*run, seed) for seed in seeds]
    for name, run in runs.items()
}
results = {
    "teacher": float((of_teacher == test_labels).mean()),
    "parameters": [teacher.count_params(), student.count_params()],
    **{name: [accuracy for accuracy, _ in found[name]] for name in found},
    "agreement": {
        name: [agreement for _, agreement in found[name]] for name in found
    },
}


def show(values):
    """Word the mean and the spread of a few shares."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1%} ± {spread:.1%}"


def show_row(name, key):
    """Print a line of the table."""
    agreement = show(results["agreement"][key])
    print(f"  {name:<30} {show(results[key]):<16} {agreement}")


print("                                 test accuracy    agrees with teacher")
print(f"  {'teacher':<30} {results['teacher']:.1%}")
show_row(f"student, {few:,} labels", "few_labels")
show_row(f"student, {len(train):,} labels", "all_labels")
show_row("student, distilled, no labels", "distilled")

"""
## What to take away

Printed from the numbers above, not typed.
"""

few_labels, all_labels, distilled = (
    100 * statistics.mean(results[name])
    for name in ("few_labels", "all_labels", "distilled")
)
large, small = results["parameters"]
print(
    f"A student of {small / large:.0%} of the teacher's weights learns from "
    f"{len(train):,} texts without a label: it is {distilled - few_labels:.0f} "
    f"points better than with {few} labels, and "
    f"{distilled - all_labels:+.1f} points from what all labels give."
)
print(json.dumps(results))
