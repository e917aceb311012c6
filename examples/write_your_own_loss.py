"""
Title: Write your own distillation loss
Author: keras_kd contributors
Date created: 2026/11/29
Last modified: 2026/11/29
Description: A method that the package lacks, in one class of a few lines.
Accelerator: None
"""

"""
## Introduction

A distillation loss is a Keras layer with one method: `call` gets what the loss
reads from both models and returns one number per example. The `Distiller` does
the rest: one forward pass of each model, weights, masks, averages, schedules,
saving.

The method here is ICKD (Liu et al. 2021), which `keras_kd` leaves out: the
channels of the student's maps shall be as similar to each other as those of
the teacher's maps are.
"""

import json
import os
import statistics
import tempfile

import keras
import numpy as np
from keras import ops

import keras_kd

fast = os.environ.get("KERAS_KD_FAST") == "1"
teacher_epochs = 5 if fast else 20
student_epochs = 25 if fast else 100
seeds = range(1 if fast else 3)
batch_size = 32

"""
## The loss

`reads = "layers"` asks for the outputs of `teacher_layer` and `student_layer`.
The similarities of the channels are a matrix of channels by channels, so the
student's maps first pass a 1x1 convolution with as many channels as the
teacher has. It belongs to the loss: it is trained and saved with the
`Distiller`, and the student does not have it. `get_config` and the decorator
let Keras save and load it.
"""


@keras.saving.register_keras_serializable("my_losses")
class ChannelCorrelation(keras_kd.losses.DistillationLoss):
    """ICKD: channels are as similar to each other as in the teacher."""

    kind = "feature"
    reads = "layers"

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.adapter = keras.layers.Conv2D(channels, 1)

    def call(self, teacher_outputs, student_outputs, labels=None):
        """Return the squared gap of the similarities, summed over channels."""
        gap = similarities(self.adapter(student_outputs))
        gap = gap - similarities(teacher_outputs)
        return ops.sum(ops.square(gap), axis=(1, 2)) / self.channels

    def get_config(self):
        """Return the arguments that make the loss again."""
        return {**super().get_config(), "channels": self.channels}


def similarities(maps):
    """Return the rows of length 1 of the channels' dot products."""
    shape = (ops.shape(maps)[0], -1, maps.shape[-1])
    flat = ops.reshape(maps, shape)
    return ops.normalize(ops.matmul(ops.transpose(flat, (0, 2, 1)), flat))


"""
It can be called on two arrays, so it is easy to test: the value is 0 where the
student's maps are the teacher's, if the adapter changes nothing.
"""

maps = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
loss = ChannelCorrelation(channels=3)
loss(maps, maps)
loss.adapter.set_weights([np.eye(3)[None, None], np.zeros(3)])
at_the_teacher = float(np.max(loss(maps, maps)))
print(f"at the teacher's own maps: {at_the_teacher:.6f}")

"""
## Training with it

The digits that come with the package: the teacher sees 1,097 labels, a student
100 images.
"""

(train_images, train_labels), (test_images, test_labels) = (
    keras_kd.data.digits()
)
held_out = 200
validation_data = (train_images[:held_out], train_labels[:held_out])
train_images = train_images[held_out:]
train_labels = train_labels[held_out:]
few_images, few_labels = train_images[:100], train_labels[:100]
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def accuracy(model):
    """Return the share of test images a model gets right."""
    logits = keras.ops.convert_to_numpy(model(test_images))
    return float((logits.argmax(-1) == test_labels).mean())


def make_model(width, name):
    """Return a convolutional network whose last maps are named."""
    image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(width, 3, padding="same", activation="relu")(image)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Conv2D(
        2 * width, 3, padding="same", activation="relu", name="maps"
    )(x)
    x = keras.layers.Flatten()(keras.layers.MaxPooling2D()(x))
    return keras.Model(image, keras.layers.Dense(10)(x), name=name)


keras.utils.set_random_seed(0)
teacher = make_model(32, "teacher")
teacher.compile("adam", loss=cross_entropy, metrics=["accuracy"])
teacher.fit(
    train_images,
    train_labels,
    epochs=teacher_epochs,
    validation_data=validation_data,
    verbose=0,
)


def distil(seed, own_loss):
    """Return a trained Distiller, with or without our loss."""
    keras.utils.set_random_seed(seed)
    losses = [keras_kd.losses.SoftTargets(temperature=4.0)]
    if own_loss:
        losses.append(
            ChannelCorrelation(
                channels=64,
                teacher_layer="maps",
                student_layer="maps",
                weight=1.0,
            )
        )
    distiller = keras_kd.Distiller(teacher, make_model(4, "student"), losses)
    distiller.compile(
        keras.optimizers.Adam(1e-2), loss=cross_entropy, steps_per_execution=4
    )
    distiller.fit(
        few_images,
        few_labels,
        batch_size=batch_size,
        epochs=student_epochs,
        verbose=0,
    )
    return distiller


without = [distil(seed, own_loss=False) for seed in seeds]
distillers = [distil(seed, own_loss=True) for seed in seeds]

"""
## Saving and loading

A saved Distiller holds the loss and its convolution, never the teacher. The
loss of a loaded Distiller gives the same values, and training goes on.
"""


def value_of(distiller):
    """Return the mean of our loss over the few images."""
    read = keras.Model(
        distiller.student.input, distiller.student.get_layer("maps").output
    )
    told = keras.Model(teacher.input, teacher.get_layer("maps").output)
    loss = distiller.distillation_losses[-1]
    return float(ops.mean(loss(told(few_images), read(few_images))))


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "distiller.keras")
    distillers[0].save(path)
    loaded = keras.models.load_model(path)

saved = value_of(distillers[0])
difference = abs(value_of(loaded) - saved)
loaded.teacher = teacher
loaded.fit(few_images, few_labels, epochs=5, verbose=0)
after = value_of(loaded)

results = {
    "at_the_teacher": at_the_teacher,
    "teacher": accuracy(teacher),
    "soft_targets": [accuracy(each.student) for each in without],
    "own_loss": [accuracy(each.student) for each in distillers],
    "saved": saved,
    "difference": difference,
    "after": after,
    "in_student": len(distillers[0].student.weights),
    "in_distiller": len(distillers[0].weights),
}

"""
## What to take away

Printed from the numbers above, not typed.
"""

means = {
    name: 100 * statistics.mean(results[name])
    for name in ("soft_targets", "own_loss")
}
print(
    f"A loss of {len(seeds)} run(s) with a class of our own: test accuracy "
    f"{means['own_loss']:.1f} % against {means['soft_targets']:.1f} % with "
    f"soft targets alone. Loaded from its file it differs by {difference:.1e}; "
    f"five more epochs take it from {saved:.3f} to {after:.3f}. The student "
    f"has {results['in_student']} weights, the Distiller "
    f"{results['in_distiller']}."
)
print(json.dumps(results))
