"""
Title: Spoken digits on a microcontroller
Author: keras_kd contributors
Date created: 2026/11/29
Last modified: 2026/11/29
Description: A keyword spotter, distilled and exported as an int8 file.
Accelerator: None
"""

"""
## Introduction

Keyword spotters run on microcontrollers, in integers and in a few kilobytes.
The networks made for them are the `ds_cnn` of Zhang et al. (2017,
arXiv:1711.07128). Here a larger convolutional network teaches a small one of
a quarter of the usual width, which becomes an int8 file.
"""

import json
import os
import statistics
import tempfile

import keras
import numpy as np

import keras_kd

fast = os.environ.get("KERAS_KD_FAST") == "1"
teacher_epochs = 5 if fast else 12
student_steps = 120 if fast else 600
seeds = range(1 if fast else 3)
batch_size = 50

"""
## Data

Real speech from TensorFlow Datasets: digits by five speakers at 8 kHz, in the
folder that the environment variable `TFDS_DATA_DIR` names. `Splits.map` makes
log-mel spectrograms of the first half second of each recording, made equally
loud: 33 frames of 20 values. The file takes these; on the device they come
from its own signal library.
"""

try:
    splits = keras_kd.data.load("spoken_digit_compact")
except (ImportError, OSError) as error:
    reason = f"This example needs spoken_digit_compact. {error}"
    print(json.dumps({"skipped": reason}))
    raise SystemExit(0) from error

log_mel = keras.layers.MelSpectrogram(
    fft_length=256,
    sequence_stride=128,
    num_mel_bins=20,
    sampling_rate=8_000,
    min_freq=50,
    max_freq=4_000,
    min_power=1e-6,  # Silence: -60 dB, in whatever batch a recording is.
    top_db=200,
)


def spectrograms(waveforms):
    """Return log-mel spectrograms: batch, frames, values, one channel."""
    loudness = keras.ops.max(keras.ops.abs(waveforms), axis=1)
    decibels = log_mel(waveforms[:, :4_096, 0] / loudness)
    return keras.ops.transpose(decibels, (0, 2, 1))[..., None] / 30 + 0.5


splits = splits.map(spectrograms, input_shape=(33, 20, 1))


def as_arrays(dataset):
    """Return the spectrograms and labels of a dataset."""
    return tuple(
        map(np.concatenate, zip(*dataset.as_numpy_iterator(), strict=True))
    )


train, train_labels = as_arrays(splits.train)
validation_data = as_arrays(splits.validation)
test_data = as_arrays(splits.test)
print(f"{len(train)} recordings to train on, {len(test_data[0])} to test")

"""
## The teacher

It hears each recording a little earlier or later in each epoch.
"""

cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_optimizer(steps):
    """Return Adam with a learning rate that falls to zero."""
    return keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(5e-3, steps)
    )


keras.utils.set_random_seed(0)
spectrogram = keras.Input(splits.input_shape, name="spectrogram")
shifted = keras.layers.RandomTranslation(
    0.1, 0, fill_mode="nearest", interpolation="nearest"
)(spectrogram)
network = keras_kd.students.convnet(
    splits.input_shape, splits.num_classes, width=0.5, convs_per_stage=1
)
teacher = keras.Model(spectrogram, network(shifted), name="teacher")
teacher.compile(
    make_optimizer(teacher_epochs * len(train) // batch_size),
    loss=cross_entropy,
    metrics=["accuracy"],
    steps_per_execution=5,
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

From the labels alone, or with the teacher: the same weights to begin with,
the same batches, the same number of steps. These are few in the short form,
which cannot tell what longer training gives.
"""


def train_student(seed, distilled):
    """Return a student trained with or without the teacher."""
    keras.utils.set_random_seed(seed)
    student = keras_kd.students.ds_cnn(
        splits.input_shape, splits.num_classes, width=0.25
    )
    model = student
    if distilled:
        model = keras_kd.Distiller(teacher, student, alpha=0.9)
    model.compile(
        make_optimizer(student_steps),
        loss=cross_entropy,
        steps_per_execution=10,
    )
    batches = keras_kd.data.from_arrays(
        train, train_labels, batch_size=batch_size, shuffle=True, seed=seed
    )
    model.fit(batches.repeat(), steps_per_epoch=student_steps, verbose=0)
    return student


def measure(model):
    """Return what a model or a file reaches on the test recordings."""
    return keras_kd.evaluate(model, test_data, teacher=teacher, latency=False)


students = [train_student(seed, distilled=True) for seed in seeds]
of_labels = [measure(train_student(seed, distilled=False)) for seed in seeds]
of_teacher = measure(teacher)
distilled = [measure(student) for student in students]

"""
## The file

In int8, with ranges from training recordings. It gets its name only after the
runtime gave what the student gives on the test recordings.
"""

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "student.tflite")
    verified = keras_kd.export.tflite(
        students[0],
        path,
        "int8",
        calibration=train[:200],
        verify=test_data,
    )
    of_file = measure(path)

results = {
    "teacher": of_teacher.accuracy,
    "labels": [each.accuracy for each in of_labels],
    "distilled": [each.accuracy for each in distilled],
    "file": of_file.accuracy,
    "file_agrees": verified.agreement,
    "passed": verified.passed,
    "input_dtype": verified.input_dtype,
    "bytes": [of_teacher.size_bytes, of_file.size_bytes],
}


def show(values):
    """Word the mean and the spread of a few accuracies."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1%} ± {spread:.1%}"


print("Test accuracy")
print(f"  teacher                       {results['teacher']:.1%}")
print(f"  student, labels alone         {show(results['labels'])}")
print(f"  student, distilled            {show(results['distilled'])}")
print(f"  its int8 file (first seed)    {results['file']:.1%}")

"""
## What to take away

Printed from the numbers above, not typed.
"""

gain = statistics.mean(results["distilled"]) - statistics.mean(
    results["labels"]
)
before, after = results["bytes"]
print(
    f"The int8 file has {after / 1000:.0f} kB, {before / after:.0f} times less "
    f"than the teacher's weights, and picks the student's digit for "
    f"{results['file_agrees']:.1%} of the test recordings. Distilled, the "
    f"student is {100 * gain:+.1f} points from labels alone after "
    f"{student_steps} steps, with {len(test_data[0])} recordings to tell."
)
print(json.dumps(results))
