"""
Title: A PyTorch teacher
Author: keras_kd contributors
Date created: 2026/11/21
Last modified: 2026/11/21
Description: Any function from a batch to outputs can teach a Keras student.
Accelerator: None
"""

"""
## Introduction

The best teacher at hand may be no Keras model. A `keras_kd.TeacherCache` is
built from any function that takes a batch of NumPy arrays and returns
outputs: a PyTorch module as here, a `.tflite` file, a SavedModel, a service
behind HTTP. Once the cache is there, PyTorch is not needed any more.
"""

import json
import os
import statistics
import tempfile

import keras
import numpy as np

import keras_kd

try:
    import torch
except ImportError:
    message = "This example needs PyTorch: `pip install 'keras-kd[torch]'`."
    print(json.dumps({"skipped": message}))
    raise SystemExit(0) from None

fast = os.environ.get("KERAS_KD_FAST") == "1"
teacher_epochs = 5 if fast else 15
student_epochs = 10 if fast else 40
seeds = range(1 if fast else 3)
batch_size = 32

"""
## Data

The digits that come with the package. The student gets 100 labels; the
teacher has seen them all.
"""

(train_images, train_labels), (test_images, test_labels) = (
    keras_kd.data.digits()
)
held_out, num_labelled = 200, 100
validation_data = (train_images[:held_out], train_labels[:held_out])
train_images = train_images[held_out:]
train_labels = train_labels[held_out:]
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

"""
## A teacher in PyTorch

PyTorch wants the channels before height and width; Keras and the data have
them last. The function below takes what the data set gives.
"""

torch.manual_seed(0)
module = torch.nn.Sequential(
    torch.nn.Conv2d(1, 32, 3, padding=1),
    torch.nn.ReLU(),
    torch.nn.Conv2d(32, 64, 3, padding=1),
    torch.nn.ReLU(),
    torch.nn.MaxPool2d(2),
    torch.nn.Conv2d(64, 128, 3, padding=1),
    torch.nn.ReLU(),
    torch.nn.Flatten(),
    torch.nn.Dropout(0.5),
    torch.nn.Linear(128 * 4 * 4, 10),
)
optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
images = torch.from_numpy(train_images.transpose(0, 3, 1, 2).copy())
labels = torch.from_numpy(train_labels.astype("int64"))
for _ in range(teacher_epochs):
    for rows in torch.randperm(len(images)).split(batch_size):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(
            module(images[rows]), labels[rows]
        )
        loss.backward()
        optimizer.step()
module.eval()


def teacher(images):
    """Return the module's logits for a batch of Keras images."""
    with torch.no_grad():
        return module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))


"""
## The cache

A function does not tell what its outputs are, nor when it changed: say so with
`teacher_output` and `teacher_id`.
"""

folder = tempfile.TemporaryDirectory()
cache = keras_kd.TeacherCache.build(
    folder.name,
    teacher,
    keras_kd.data.from_arrays(train_images, batch_size=batch_size),
    dtype="float32",
    teacher_output="logits",
    teacher_id="torch-convnet-1",
    verbose=0,
)
stored = cache.join(train_images)["keras_kd_teacher"]["logits"]
difference = float(np.abs(stored - teacher(train_images).numpy()).max())
print(
    f"{len(cache):,} examples stored; the logits differ from the module's by "
    f"at most {difference:.1g}"
)

"""
## Distil

The student learns from all images and from no label. Beside it the same
student learns from the 100 labels, with as many steps.
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


def accuracy(model):
    """Return the share of test images a model gets right."""
    return float(
        (np.asarray(model(test_images)).argmax(-1) == test_labels).mean()
    )


def train_from_labels(seed):
    """Train a student on the labelled images."""
    student = make_student(seed)
    dataset = keras_kd.data.from_arrays(
        train_images[:num_labelled],
        train_labels[:num_labelled],
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


def distil(seed):
    """Train a student on what is stored."""
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
    "difference": difference,
    "teacher": accuracy(teacher),
    "scratch": [train_from_labels(seed) for seed in seeds],
    "distilled": [distil(seed) for seed in seeds],
}
folder.cleanup()


def show(values):
    """Word the mean and the spread of a few accuracies."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1%} ± {spread:.1%}"


print("Test accuracy")
print(f"  teacher, PyTorch             {results['teacher']:.1%}")
print(f"  student, Keras, {num_labelled} labels   {show(results['scratch'])}")
print(f"  student, Keras, distilled    {show(results['distilled'])}")

"""
## What to take away

Printed from the numbers above, not typed.
"""

scratch, distilled = (
    100 * statistics.mean(results[name]) for name in ("scratch", "distilled")
)
print(
    "A Keras student learns from a PyTorch teacher as from any other: it comes "
    f"within {100 * results['teacher'] - distilled:.1f} points of the teacher, "
    f"{distilled - scratch:.1f} above the same student with {num_labelled} "
    "labels."
)
print(json.dumps(results))
