"""
Title: From ResNet-50 to a MobileNetV2 in int8
Author: keras_kd contributors
Date created: 2026/11/30
Last modified: 2026/11/30
Description: Transfer learning with keras.applications, then distillation.
Accelerator: GPU for your own photos, none for the short form
"""

"""
## Introduction

The usual way to a good classifier of photos: take a network that was trained
on ImageNet, freeze it, train a new head. The usual trouble: it is a ResNet-50
of 94 MB. Here it teaches a MobileNetV2 of a seventieth of the weights, which
becomes a file for a phone.

    python resnet_to_mobilenet.py --weights imagenet --data photos/ --pixels 224

is the real thing, with a folder of yours that has a folder a class; it
downloads the weights. Without options nothing is downloaded: the images are
small digits and the ResNet-50 has random weights. Its frozen features are
random then, but rich enough for a trained head to tell digits apart. So this
form shows that each step works and what a student keeps of such a teacher; it
says nothing about the accuracy that ImageNet's weights bring.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

import keras
import numpy as np

import keras_kd

parser = argparse.ArgumentParser()
parser.add_argument("--weights", choices=["imagenet"])
parser.add_argument("--data", default="digits")
parser.add_argument("--pixels", type=int, default=32)
options = parser.parse_args()

fast = os.environ.get("KERAS_KD_FAST") == "1"
num_images = 500 if fast else 1_097
student_epochs = 8 if fast else 30
batch_size = 50
shape = (options.pixels, options.pixels, 3)

"""
## Data

Every network of `keras.applications` preprocesses in its own way: ResNet-50
takes BGR without the mean of ImageNet, MobileNetV2 takes -1 to 1. Under one
teacher both see the same images, so these are plain pixels, 0 to 255, and each
model begins with its own preprocessing. A `Taker` says what the models take;
`load` resizes and makes colours of gray.
"""

taker = keras_kd.data.Taker("resnet50", shape=shape, range="0..255")
splits = keras_kd.data.load(
    options.data, teacher=taker, max_train=num_images, batch_size=batch_size
)
print(*splits.notes, sep="\n")
images, labels = map(
    np.concatenate, zip(*splits.train.as_numpy_iterator(), strict=True)
)
test = splits.test.take(6 if fast else -1)
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

"""
## The teacher

A frozen backbone gives the same features in each epoch, so they are computed
once and the head is trained on them.
"""

keras.utils.set_random_seed(0)
backbone = keras.applications.ResNet50(
    weights=options.weights, include_top=False, pooling="avg", input_shape=shape
)
backbone.trainable = False
preprocess = keras.applications.resnet.preprocess_input
features = backbone.predict(preprocess(images.copy()), verbose=0)
standardize = keras.layers.Normalization(
    mean=features.mean(0),
    variance=features.var(0) + 1e-3,  # Random features may be constant.
)
head = keras.Sequential(
    [
        keras.Input(features.shape[1:]),
        standardize,
        keras.layers.Dense(splits.num_classes),
    ]
)
head.compile(keras.optimizers.Adam(1e-2), loss=cross_entropy)
head.fit(features, labels, batch_size=batch_size, epochs=20, verbose=0)

image = keras.Input(shape, name="image")
teacher = keras.Model(image, head(backbone(preprocess(image))), name="resnet50")
teacher.compile(loss=cross_entropy, metrics=["accuracy"])
teacher_accuracy = teacher.evaluate(test, verbose=0, return_dict=True)[
    "accuracy"
]
folder = Path(tempfile.mkdtemp())
cache = keras_kd.TeacherCache.build(
    folder / "cache", teacher, splits.train, verbose=0
)

"""
## The student

A trap waits in MobileNetV2: its batch normalizations keep averages with a
momentum of 0.999. They stand for thousands of steps; after the few hundred of
a fine-tuning they are still near 0 and 1, and a student that learned well
guesses at inference. 0.9 is right for hundreds of steps.
"""

keras.utils.set_random_seed(0)
body = keras.applications.MobileNetV2(
    weights=options.weights,
    include_top=False,
    pooling="avg",
    input_shape=shape,
    alpha=0.35,
)
for layer in body.layers:
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.momentum = 0.9
image = keras.Input(shape, name="image")
x = body(keras.layers.Rescaling(1 / 127.5, offset=-1.0)(image))
student = keras.Model(
    image, keras.layers.Dense(splits.num_classes)(x), name="mobilenet_v2"
)

distiller = keras_kd.Distiller(cache, student)
steps = student_epochs * len(splits.train)
schedule = keras.optimizers.schedules.CosineDecay(1e-2, steps)
distiller.compile(
    keras.optimizers.SGD(schedule, momentum=0.9),
    loss=cross_entropy,
    metrics=["accuracy"],
)
distiller.fit(
    cache.join(splits.train),
    validation_data=splits.validation,
    validation_freq=student_epochs,
    epochs=student_epochs,
    verbose=0,
)

"""
## The file

It takes the bytes of a photo. A share of the test images is enough to compare
it with the student; a file that differs too much is not written.
"""

path = folder / "mobilenet_v2.tflite"
check = keras_kd.export.tflite(
    student,
    path,
    "int8",
    calibration=images,
    verify=test,
    input_dtype="uint8",
)
of_file = keras_kd.evaluate(path, test, teacher=teacher, latency=False)
print(f"Test accuracy of {of_file.num_examples} images")
print(f"  ResNet-50           {teacher_accuracy:.1%}")
print(f"  int8 MobileNetV2    {of_file.accuracy:.1%}")

"""
## What to take away

Printed from the numbers above, not typed.
"""

teacher_bytes = 4 * teacher.count_params()
print(
    f"The file of {check.size_bytes / 1000:,.0f} kB is "
    f"{teacher_bytes / check.size_bytes:.0f} times smaller than the teacher's "
    f"weights. It picks what the student picks on {check.agreement:.1%} and "
    f"what the teacher picks on {of_file.agreement:.1%} of the test images, "
    f"and the teacher ran once for {student_epochs} epochs."
)
results = {
    "weights": options.weights,
    "cached": len(cache),
    "teacher": teacher_accuracy,
    "file": of_file.accuracy,
    "teacher_agreement": of_file.agreement,
    "student_agreement": check.agreement,
    "size_bytes": check.size_bytes,
    "teacher_bytes": teacher_bytes,
    "input_dtype": check.input_dtype,
}
print(json.dumps(results))
