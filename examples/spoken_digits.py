"""
Title: Spoken digits on a microcontroller
Author: keras_kd contributors
Date created: 2026/11/30
Last modified: 2026/11/30
Description: A keyword spotter: spectrograms, ds_cnn, int8, TFLite Micro.
Accelerator: None
"""

"""
## Introduction

A keyword spotter listens all day on a battery: a few dozen kilobytes for the
weights, as many for the activations, whole numbers only. Its usual network is
a stack of depthwise separable convolutions over a spectrogram (Zhang et al.
2017, arXiv:1711.07128), the family `ds_cnn`. Here a large one teaches a small
one; the small one is also trained on labels alone, and validation says which
of the two becomes the file.
"""

import importlib.util
import json
import os
import statistics
import tempfile
from pathlib import Path

import keras
import numpy as np

import keras_kd

fast = os.environ.get("KERAS_KD_FAST") == "1"
teacher_width = 0.75 if fast else 1.5
teacher_epochs = 4 if fast else 12
student_epochs = 5 if fast else 20
seeds = range(1 if fast else 3)
batch_size = 32
num_samples = 4096  # Half a second.

"""
## Data

Recordings of digits by five speakers at 8 kHz, from TensorFlow Datasets. They
are read from a folder that the environment variable `TFDS_DATA_DIR` names. The
same speakers are in all parts, which makes it an easy task.
A chip computes the spectrogram itself, so it is kept small: 33 frames, 16
milliseconds apart, of 20 bands each.
"""

try:
    import tensorflow_datasets as tfds

    builder = tfds.builder("spoken_digit_compact")
except Exception as error:
    reason = str(error).partition("\n")[0]
    message = (
        "This example needs tensorflow-datasets and the data set "
        f"spoken_digit_compact in TFDS_DATA_DIR. {reason}"
    )
    print(json.dumps({"skipped": message}))
    raise SystemExit(0) from error

log_mel = keras.layers.MelSpectrogram(
    fft_length=256,
    sequence_stride=128,
    num_mel_bins=20,
    sampling_rate=8000,
    min_freq=50,
    max_freq=4000,
)


def load(split):
    """Return spectrograms `(frames, bands, 1)` and labels."""
    waveforms, labels = [], []
    for example in tfds.as_numpy(builder.as_dataset(split=split)):
        audio = example["audio"][:num_samples].astype("float32")
        audio = np.pad(audio, (0, num_samples - len(audio)))
        waveforms.append(audio / np.abs(audio).max())
        labels.append(example["label"])
    decibels = keras.ops.convert_to_numpy(log_mel(np.stack(waveforms)))
    return decibels.transpose(0, 2, 1)[..., None] / 20 + 1, np.array(labels)


spectrograms, labels = load("train")
order = np.random.default_rng(0).permutation(len(labels))
spectrograms, labels = spectrograms[order], labels[order]
held_out = 250
train = (spectrograms[held_out:], labels[held_out:])
validation = (spectrograms[:held_out], labels[:held_out])
test = load("test")
shape = spectrograms.shape[1:]
print(
    f"{len(train[1]):,} recordings to train on, {held_out} to validate, "
    f"{len(test[1])} to test; spectrograms of {shape[0]} x {shape[1]}"
)


def make_dataset(seed):
    """Return the training set, shuffled anew each epoch."""
    return keras_kd.data.from_arrays(
        *train, batch_size=batch_size, shuffle=True, seed=seed
    )


def compile_and_fit(model, dataset, epochs):
    """Train a model or a Distiller, at a learning rate that falls to zero."""
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-2, epochs * len(dataset)
    )
    model.compile(
        keras.optimizers.Adam(schedule),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=10,
    )
    history = model.fit(
        dataset,
        validation_data=validation,
        validation_freq=epochs,
        epochs=epochs,
        verbose=0,
    )
    return history.history["val_accuracy"][-1]


"""
## The teacher
"""

keras.utils.set_random_seed(0)
teacher = keras_kd.students.ds_cnn(shape, 10, width=teacher_width)
compile_and_fit(teacher, make_dataset(0), teacher_epochs)
folder = Path(tempfile.mkdtemp())
cache = keras_kd.TeacherCache.build(
    folder / "cache", teacher, make_dataset(0), verbose=0
)

"""
## The student, twice

From the same first weights, in the same number of steps: on labels alone, and
under the teacher with the defaults of the `Distiller`.
"""


def accuracy(model_or_file, **options):
    """Return the share of test recordings a model or a file gets right."""
    return keras_kd.evaluate(
        model_or_file, test, latency=False, **options
    ).accuracy


runs = {"labels alone": [], "distilled": []}
for seed in seeds:
    for name, measured in runs.items():
        keras.utils.set_random_seed(seed)
        student = keras_kd.students.ds_cnn(shape, 10, width=0.25)
        model, dataset = student, make_dataset(seed)
        if name == "distilled":
            model = keras_kd.Distiller(cache, student)
            dataset = cache.join(dataset)
        found = compile_and_fit(model, dataset, student_epochs)
        measured.append((found, accuracy(student), student))


def show(values):
    """Word the mean and the spread of a few accuracies."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1%} ± {spread:.1%}"


results = {
    "teacher": accuracy(teacher),
    "validation": {name: [run[0] for run in runs[name]] for name in runs},
    "test": {name: [run[1] for run in runs[name]] for name in runs},
}
print("Accuracy                    validation      test")
print(f"  the teacher                               {results['teacher']:.1%}")
for name in runs:
    print(
        f"  student, {name:<16} {show(results['validation'][name])}   "
        f"{show(results['test'][name])}"
    )

"""
## The file

The student that is best in validation, as int8. With the extra `micro` the
file also runs in TFLite Micro, which tells the arena: the memory that a chip
has to set aside beside the file.
"""

chosen = max(
    runs, key=lambda name: statistics.mean(results["validation"][name])
)
student = max(runs[chosen], key=lambda run: run[0])[-1]
has_micro = importlib.util.find_spec("tflite_micro") is not None
path = folder / "spoken_digits.tflite"
check = keras_kd.export.tflite(
    student,
    path,
    "int8",
    calibration=train[0],
    verify=test,
    runtime=("litert", "tflm") if has_micro else "litert",
)
results |= {
    "chosen": chosen,
    "file": accuracy(path),
    "agreement": {
        name: found.agreement for name, found in check.runtimes.items()
    },
    "size_bytes": check.size_bytes,
    "arena_bytes": check.arena_bytes,
    "parameters": [teacher.count_params(), student.count_params()],
}

"""
## What to take away

Printed from the numbers above, not typed.
"""

lead = 100 * (
    statistics.mean(results["test"]["distilled"])
    - statistics.mean(results["test"]["labels alone"])
)
memory = (
    f"in an arena of {check.arena_bytes:,} bytes"
    if has_micro
    else "in an arena that the extra `micro` would measure"
)
print(
    f"Distilled, the student is {lead:+.1f} points from what labels alone "
    f"give; validation chose the one of {chosen}.\n"
    f"Its file of {check.size_bytes:,} bytes runs {memory}, picks what the "
    f"student picks on {min(results['agreement'].values()):.1%} of the test "
    f"recordings and is right on {results['file']:.1%}; the teacher, "
    f"{results['parameters'][0] / results['parameters'][1]:.0f} times as "
    f"large, is on {results['teacher']:.1%}."
)
print(json.dumps(results))
