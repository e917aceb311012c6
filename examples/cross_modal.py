"""
Title: Teach a raw-waveform student with a spectrogram teacher
Author: keras_kd contributors
Date created: 2026/11/21
Last modified: 2026/11/21
Description: Spoken digits: teacher and student see the same word differently.
Accelerator: None
"""

"""
## Introduction

A spectrogram makes speech easy to recognize and costs a Fourier transform on
the device. A student that takes the raw waveform needs none, but learns from
labels with difficulty, and labels are rare. A teacher that looks at
spectrograms can supervise it on recordings that nobody labelled: supervision
transfer, Gupta, Hoffman and Malik (2016, arXiv:1507.00448).

The data hold both views of each recording, and `teacher_input=` and
`student_input=` say which of them each model takes.
"""

import json
import os
import statistics

import keras
import numpy as np

import keras_kd

fast = os.environ.get("KERAS_KD_FAST") == "1"
teacher_epochs = 8 if fast else 10
student_steps = 300 if fast else 700
seeds = range(1 if fast else 3)
batch_size = 32
num_samples = 4096  # Half a second.

"""
## Data

Real speech from TensorFlow Datasets: 2,500 recordings of digits by five
speakers at 8 kHz. It is read from a folder that the environment variable
`TFDS_DATA_DIR` names.
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


def load(split):
    """Return waveforms of equal length and loudness, and labels."""
    waveforms, labels = [], []
    for example in tfds.as_numpy(builder.as_dataset(split=split)):
        audio = example["audio"][:num_samples].astype("float32")
        audio = np.pad(audio, (0, num_samples - len(audio)))
        waveforms.append(audio / np.abs(audio).max())
        labels.append(example["label"])
    return np.stack(waveforms)[..., None], np.array(labels)


log_mel = keras.layers.MelSpectrogram(
    fft_length=256,
    sequence_stride=64,
    num_mel_bins=32,
    sampling_rate=8000,
    min_freq=50,
    max_freq=4000,
)


def both_views(waveforms):
    """Return each recording as a waveform and as a log-mel spectrogram."""
    spectrograms = np.concatenate(
        [
            keras.ops.convert_to_numpy(log_mel(part[..., 0]))
            for part in np.array_split(waveforms, 10)
        ]
    )
    return {"waveform": waveforms, "spectrogram": spectrograms[..., None]}


waveforms, labels = load("train")
order = np.random.default_rng(0).permutation(len(labels))
waveforms, labels = waveforms[order], labels[order]
held_out = 250
train, train_labels = both_views(waveforms[held_out:]), labels[held_out:]
validation = both_views(waveforms[:held_out])
validation_labels = labels[:held_out]
test_waveforms, test_labels = load("test")
test = both_views(test_waveforms)
print(
    f"{len(train_labels)} recordings to train on, {held_out} to validate, "
    f"{len(test_labels)} to test"
)

"""
## The teacher, on spectrograms
"""

cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_optimizer(steps):
    """Return Adam with a learning rate that falls to zero."""
    return keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(5e-3, steps)
    )


keras.utils.set_random_seed(0)
shape = train["spectrogram"].shape[1:]
spectrogram = keras.Input(shape, name="spectrogram")
x = keras.layers.Rescaling(1 / 20, offset=1.0)(spectrogram)
x = keras.layers.RandomTranslation(
    0, 0.1, fill_mode="nearest", interpolation="nearest"
)(x)
network = keras_kd.students.convnet(shape, 10, width=0.5, convs_per_stage=1)
teacher = keras.Model(spectrogram, network(x), name="teacher")
teacher.compile(
    make_optimizer(teacher_epochs * -(-len(train_labels) // batch_size)),
    loss=cross_entropy,
    metrics=["accuracy"],
    steps_per_execution=10,
)
teacher.fit(
    train["spectrogram"],
    train_labels,
    batch_size=batch_size,
    epochs=teacher_epochs,
    validation_data=(validation["spectrogram"], validation_labels),
    verbose=0,
)
teacher_accuracy = keras_kd.evaluate(
    teacher, (test["spectrogram"], test_labels)
).accuracy

"""
## The student, on waveforms

Three one-dimensional convolutions, the first with a stride of 16 samples.
"""


def make_student(seed):
    """Return an untrained student."""
    keras.utils.set_random_seed(seed)
    waveform = keras.Input((num_samples, 1), name="waveform")
    x = waveform
    for filters, width, stride in ((32, 64, 16), (32, 5, 4), (64, 5, 4)):
        x = keras.layers.Conv1D(
            filters, width, strides=stride, padding="same", use_bias=False
        )(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(waveform, keras.layers.Dense(10)(x), name="student")


def accuracy(student):
    """Return the share of test recordings a student gets right."""
    return keras_kd.evaluate(student, (test["waveform"], test_labels)).accuracy


def train_from_labels(num_labels, seed):
    """Train a student on the first so many labels."""
    student = make_student(seed)
    student.compile(
        make_optimizer(student_steps),
        loss=cross_entropy,
        metrics=["accuracy"],
        steps_per_execution=10,
    )
    dataset = keras_kd.data.from_arrays(
        train["waveform"][:num_labels],
        train_labels[:num_labels],
        batch_size=batch_size,
        shuffle=True,
        seed=seed,
    )
    student.fit(
        dataset.repeat(),
        steps_per_epoch=student_steps,
        validation_data=(validation["waveform"], validation_labels),
        verbose=0,
    )
    return accuracy(student)


def distil(seed):
    """Train a student on what the teacher hears; no labels."""
    student = make_student(seed)
    distiller = keras_kd.Distiller(
        teacher,
        student,
        alpha=1.0,
        temperature=2.0,
        teacher_input="spectrogram",
        student_input="waveform",
    )
    distiller.compile(make_optimizer(student_steps), steps_per_execution=10)
    dataset = keras_kd.data.from_arrays(
        train, batch_size=batch_size, shuffle=True, seed=seed
    )
    distiller.fit(dataset.repeat(), steps_per_epoch=student_steps, verbose=0)
    return accuracy(student)


"""
## Three students

The same weights to begin with, the same number of steps.
"""

few = len(train_labels) // 10
results = {
    "teacher": teacher_accuracy,
    "few_labels": [train_from_labels(few, seed) for seed in seeds],
    "all_labels": [
        train_from_labels(len(train_labels), seed) for seed in seeds
    ],
    "distilled": [distil(seed) for seed in seeds],
}


def show(values):
    """Word the mean and the spread of a few accuracies."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1%} ± {spread:.1%}"


def show_row(name, text):
    """Print a line of the table."""
    print(f"  {name:<34} {text}")


print("Test accuracy")
show_row("teacher, spectrograms", f"{teacher_accuracy:.1%}")
show_row(f"student, {few:,} labelled waveforms", show(results["few_labels"]))
show_row(
    f"student, {len(train_labels):,} labelled waveforms",
    show(results["all_labels"]),
)
show_row("student, distilled, no labels", show(results["distilled"]))

"""
## What to take away

Printed from the numbers above, not typed.
"""

few_labels, all_labels, distilled = (
    100 * statistics.mean(results[name])
    for name in ("few_labels", "all_labels", "distilled")
)
print(
    "A teacher of another modality stands in for labels: without any, the "
    f"student is {distilled - few_labels:.0f} points better than with {few}, "
    f"and {distilled - all_labels:+.1f} points from what all "
    f"{len(train_labels):,} give."
)
print(json.dumps(results))
