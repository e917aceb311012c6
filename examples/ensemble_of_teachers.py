"""
Title: Three teachers, one student
Author: keras_kd contributors
Date created: 2026/11/21
Last modified: 2026/11/21
Description: An ensemble knows more than its members; one student learns it.
Accelerator: None
"""

"""
## Introduction

Three clinics have 100 labelled images each, which must not leave the house.
Each trains a teacher on its own. The teachers make different mistakes, and
their mean is better than each of them; but nobody wants to run three networks
on a device. Hinton, Vinyals and Dean (2015, arXiv:1503.02531) put what an
ensemble knows into one small network. In `keras_kd` a
`keras_kd.teachers.Ensemble` stands where a teacher stands.
"""

import json
import os
import statistics
import tempfile

import keras

import keras_kd

fast = os.environ.get("KERAS_KD_FAST") == "1"
teacher_epochs = 12 if fast else 40
student_epochs = 12 if fast else 40
seeds = range(2 if fast else 3)
batch_size = 32

"""
## Data

The digits that come with the package: three times 100 images with labels that
only their owner sees, and all the images, without labels, for the student.
"""

(train_images, train_labels), (test_images, test_labels) = (
    keras_kd.data.digits()
)
held_out = 200
validation_data = (train_images[:held_out], train_labels[:held_out])
train_images = train_images[held_out:]
train_labels = train_labels[held_out:]
num_owned = 100
clinics = [
    slice(number * num_owned, (number + 1) * num_owned) for number in range(3)
]
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def accuracy(model):
    """Return the share of test images a model gets right."""
    logits = keras.ops.convert_to_numpy(model(test_images))
    return float((logits.argmax(-1) == test_labels).mean())


"""
## The teachers

One network a clinic, trained on what it owns.
"""


def train_teacher(owned):
    """Train a teacher on the images of one clinic."""
    keras.utils.set_random_seed(owned.start)
    teacher = keras_kd.students.convnet((8, 8, 1), 10, width=0.5)
    teacher.compile("adam", loss=cross_entropy, metrics=["accuracy"])
    teacher.fit(
        train_images[owned],
        train_labels[owned],
        batch_size=batch_size,
        epochs=teacher_epochs,
        validation_data=validation_data,
        verbose=0,
    )
    return teacher


teachers = [train_teacher(owned) for owned in clinics]
ensemble = keras_kd.teachers.Ensemble(teachers, combine="probabilities")

"""
## Ask each of them once

The ensemble costs a forward pass of every member. A `TeacherCache` pays it
once an image instead of once a step.
"""

folder = tempfile.TemporaryDirectory()


def make_cache(name, teacher):
    """Store what a teacher says about every training image."""
    path = os.path.join(folder.name, name)
    return keras_kd.TeacherCache.build(
        path, teacher, train_images, dtype="float32", verbose=0
    )


caches_of_one = [
    make_cache(f"teacher_{number}", teacher)
    for number, teacher in enumerate(teachers)
]
cache_of_three = make_cache("ensemble", ensemble)

"""
## The students

Each number is the mean of three runs. A student of one teacher learns from
another teacher in each of them; a student of three learns from the ensemble.
Both see every image and no label. A third student learns from the labels of
one clinic, with as many steps and the same first weights.
"""

student_steps = student_epochs * -(-len(train_images) // batch_size)


def make_student(seed):
    """Return an untrained student."""
    keras.utils.set_random_seed(seed)
    return keras_kd.students.convnet(
        (8, 8, 1), 10, filters=(8, 16), convs_per_stage=1
    )


def make_optimizer():
    """Return Adam with a learning rate that falls to zero."""
    return keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(1e-2, student_steps)
    )


def train_from_labels(seed):
    """Train a student on the labelled images of one clinic."""
    student = make_student(seed)
    dataset = keras_kd.data.from_arrays(
        train_images[clinics[seed]],
        train_labels[clinics[seed]],
        batch_size=batch_size,
        shuffle=True,
        seed=seed,
    )
    student.compile(
        make_optimizer(),
        loss=cross_entropy,
        metrics=["accuracy"],
        steps_per_execution=10,
    )
    student.fit(
        dataset.repeat(),
        steps_per_epoch=student_steps,
        validation_data=validation_data,
        verbose=0,
    )
    return accuracy(student)


def distil(cache, seed):
    """Train a student on what is stored, without labels."""
    student = make_student(seed)
    dataset = keras_kd.data.from_arrays(
        train_images, batch_size=batch_size, shuffle=True, seed=seed
    )
    distiller = keras_kd.Distiller(cache, student, alpha=1.0, temperature=2.0)
    distiller.compile(make_optimizer(), steps_per_execution=10)
    distiller.fit(
        cache.join(dataset).repeat(),
        steps_per_epoch=student_steps,
        verbose=0,
    )
    return accuracy(student)


results = {
    "teachers": [accuracy(teacher) for teacher in teachers],
    "ensemble": accuracy(ensemble),
    "scratch": [train_from_labels(seed) for seed in seeds],
    "of_one": [distil(caches_of_one[seed], seed) for seed in seeds],
    "of_three": [distil(cache_of_three, seed) for seed in seeds],
}
folder.cleanup()


def show(values):
    """Word the mean and the spread of a few accuracies."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1%} ± {spread:.1%}"


print("Test accuracy")
print(f"  a teacher                {show(results['teachers'])}")
print(f"  the three together       {results['ensemble']:.1%}")
print(f"  student, labels alone    {show(results['scratch'])}")
print(f"  student of one teacher   {show(results['of_one'])}")
print(f"  student of the three     {show(results['of_three'])}")

"""
## What to take away

Printed from the numbers above, not typed.
"""

means = {
    name: 100 * statistics.mean(results[name])
    for name in ("teachers", "scratch", "of_one", "of_three")
}
print(
    f"Three teachers together are "
    f"{100 * results['ensemble'] - means['teachers']:.1f} points better than "
    "one; a student of the three is "
    f"{means['of_three'] - means['of_one']:+.1f} points from a student of one "
    f"and {means['of_three'] - means['scratch']:+.1f} from the labels alone, "
    "and runs as fast as either."
)
print(json.dumps(results))
