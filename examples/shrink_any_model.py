"""
Title: Shrink a model nobody wrote a small version of
Author: keras_kd contributors
Date created: 2026/11/21
Last modified: 2026/11/21
Description: A student from any Functional teacher, with a head start.
Accelerator: None
"""

"""
## Introduction

For a MobileNet there is a smaller MobileNet. For the network that a colleague
trained last year there is nothing: its student has to be written by hand, and
kept in step with the teacher. `keras_kd.students.shrink` derives it from the
teacher's own graph. This teacher has what makes that hard: residual blocks,
squeeze-and-excite gates, a concatenation, and a layer that mixes pixels.

The student may start from random weights, or from the teacher's channels whose
kernels have the largest L1 norms (Li et al. 2017, arXiv:1608.08710).
"""

import json
import os
import statistics

import keras

import keras_kd

fast = os.environ.get("KERAS_KD_FAST") == "1"
teacher_epochs = 4 if fast else 20
student_epochs = 2 if fast else 4
seeds = range(1 if fast else 3)
batch_size = 32

"""
## Data

The digits that come with the package, some of them held out for validation.
"""

(train_images, train_labels), (test_images, test_labels) = (
    keras_kd.data.digits()
)
held_out = 200
validation_data = (train_images[:held_out], train_labels[:held_out])
train_images = train_images[held_out:]
train_labels = train_labels[held_out:]
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def accuracy(model):
    """Return the share of test images a model gets right."""
    outputs = keras.ops.convert_to_numpy(model(test_images, training=False))
    return float((outputs.argmax(-1) == test_labels).mean())


"""
## The teacher

The colleague's network. Its output is a softmax; students give logits.
"""


def convolve(features, filters):
    """Convolve, normalize, activate."""
    features = keras.layers.Conv2D(filters, 3, padding="same")(features)
    features = keras.layers.BatchNormalization(momentum=0.9)(features)
    return keras.layers.ReLU()(features)


def gate(features):
    """Weight the channels by a small network that sees them all."""
    channels = features.shape[-1]
    weights = keras.layers.GlobalAveragePooling2D()(features)
    weights = keras.layers.Reshape((1, 1, channels))(weights)
    weights = keras.layers.Conv2D(8, 1, activation="relu")(weights)
    weights = keras.layers.Conv2D(channels, 1, activation="sigmoid")(weights)
    return keras.layers.Multiply()([features, weights])


def make_teacher():
    """Return the network, untrained."""
    inputs = keras.Input((8, 8, 1))
    features = convolve(inputs, 32)
    for _ in range(2):
        branch = gate(convolve(features, 32))
        features = keras.layers.Add()([features, branch])
    halves = [
        keras.layers.MaxPooling2D(2)(features),
        keras.layers.AveragePooling2D(2)(features),
    ]
    features = convolve(keras.layers.Concatenate()(halves), 64)
    # Every pixel sees all others, each channel by itself.
    features = keras.layers.Reshape((16, 64))(features)
    features = keras.layers.EinsumDense(
        "bpc,pq->bqc", output_shape=(16, 64), activation="relu", name="mix"
    )(features)
    features = keras.layers.GlobalAveragePooling1D()(features)
    outputs = keras.layers.Dense(10, activation="softmax")(features)
    return keras.Model(inputs, outputs, name="colleague")


keras.utils.set_random_seed(0)
teacher = make_teacher()
teacher.compile("adam", "sparse_categorical_crossentropy")
teacher.fit(
    train_images,
    train_labels,
    batch_size=batch_size,
    epochs=teacher_epochs,
    validation_data=validation_data,
    verbose=0,
)

"""
## The layer that cannot be narrowed by itself

An `EinsumDense` may compute anything, so the refusal names it, and the hook.
This one mixes pixels: its config counts channels that its weights do not.
"""

try:
    keras_kd.students.shrink(teacher, width=0.5)
except ValueError as error:
    refusal = str(error)
    print(refusal)


def follow_channels(layer, config, old_shapes, new_shapes, width):
    """Return the config for as many channels as come in."""
    return {**config, "output_shape": new_shapes[0]}


rules = {keras.layers.EinsumDense: follow_channels}

"""
## The students

Half the width: a third of the parameters or less. Each is distilled for a few
epochs, once from random weights and once from the teacher's, and measured
before and after. A student without a teacher gets as many steps.
"""


def make_student(seed, initialize=None):
    """Return a student of half the teacher's width."""
    keras.utils.set_random_seed(seed)
    return keras_kd.students.shrink(
        teacher, width=0.5, rules=rules, initialize=initialize
    )


def train(model, seed):
    """Train a student or a Distiller, the same way."""
    dataset = keras_kd.data.from_arrays(
        train_images,
        train_labels,
        batch_size=batch_size,
        shuffle=True,
        seed=seed,
    )
    model.compile(keras.optimizers.Adam(2e-3), loss=cross_entropy)
    model.fit(
        dataset,
        epochs=student_epochs,
        validation_data=validation_data,
        verbose=0,
    )


def distil(seed, initialize=None):
    """Return a student's accuracy before and after distillation."""
    student = make_student(seed, initialize)
    before = accuracy(student)
    train(keras_kd.Distiller(teacher, student), seed)
    return before, accuracy(student)


def train_alone(seed):
    """Return the accuracy of a student that only has the labels."""
    student = make_student(seed)
    train(student, seed)
    return accuracy(student)


random_starts = [distil(seed) for seed in seeds]
teacher_starts = [distil(seed, "teacher") for seed in seeds]
whole = keras_kd.students.shrink(
    teacher, width=1.0, rules=rules, initialize="teacher"
)
results = {
    "teacher": accuracy(teacher),
    "whole": accuracy(whole),
    "parameters": [teacher.count_params(), make_student(0).count_params()],
    "scratch": [train_alone(seed) for seed in seeds],
    "random": [after for _, after in random_starts],
    "inherited": [after for _, after in teacher_starts],
    "refusal": refusal,
}


def show(values):
    """Word the mean and the spread of a few accuracies."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1%} ± {spread:.1%}"


print("Test accuracy")
print(f"  the teacher                           {results['teacher']:.1%}")
print(f"  student, labels alone                 {show(results['scratch'])}")
print(f"  student, distilled from random        {show(results['random'])}")
print(f"  student, distilled from the teacher's {show(results['inherited'])}")

"""
## What to take away

Printed from the numbers above, not typed.
"""

before, after = results["parameters"]
gain = statistics.mean(results["inherited"]) - statistics.mean(
    results["random"]
)
print(
    f"One call made a student of {after:,} parameters from {before:,}. After "
    f"{student_epochs} epochs the one that started from the teacher's "
    f"channels is {100 * gain:+.1f} points from the one that started at "
    "random; at full width the copy is the teacher itself: "
    f"{results['whole']:.1%} against {results['teacher']:.1%}."
)
print(json.dumps(results))
