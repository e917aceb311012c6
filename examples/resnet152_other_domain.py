"""
Title: A student for another domain, without its labels
Author: keras_kd contributors
Date created: 2026/11/30
Last modified: 2026/11/30
Description: ResNet-152 learns from labels, MobileNet from its answers.
Accelerator: None
"""

"""
## Introduction

A teacher was trained where labels are plenty. The device looks at another
domain: other people, another scanner, a fifth of the pixels; and nobody
labelled its images. Distillation needs none: the teacher answers, and the
student learns the answers on the images that the device will see.

Here the labelled domain is MNIST, and the other one the small scans that come
with the package. ResNet-152 has random weights, so that nothing is downloaded
(`weights = "imagenet"` is what you would use, with more pixels). Its frozen
features are good enough to show how much of the teacher the student keeps,
and what it costs that the teacher came from elsewhere; with ImageNet's weights
the same steps end at another accuracy.
"""

import json
import os
import tempfile
from pathlib import Path

import keras
import numpy as np

import keras_kd

fast = os.environ.get("KERAS_KD_FAST") == "1"
weights = None
pixels = 32
num_images = 500 if fast else 1_000
student_epochs = 10 if fast else 40
batch_size = 50

"""
## Two domains

MNIST comes from TensorFlow Datasets: a folder that holds it is named by the
environment variable `TFDS_DATA_DIR`. The best that can be done about another
domain is to make it less different: MNIST loses its margin and is reduced to
the 8 x 8 pixels of the scans.
"""

try:
    import tensorflow_datasets as tfds

    mnist = [
        tfds.load(
            "mnist",
            split=split,
            batch_size=-1,
            as_supervised=True,
            download=False,
        )
        for split in (f"train[:{num_images}]", "test[:150]")
    ]
except (ImportError, OSError) as error:
    missing = "This example needs mnist of tensorflow-datasets."
    print(json.dumps({"skipped": f"{missing} {error}"}))
    raise SystemExit(0) from error


def as_scanned(images):
    """Return images of MNIST as the other domain's scanner would see them."""
    images = keras.ops.cast(images[:, 4:24, 4:24], "float32") / 255
    return keras.ops.image.resize(images, (8, 8), antialias=True).numpy()


(source, source_labels), (source_test, source_test_labels) = (
    (as_scanned(images), labels.numpy()) for images, labels in mnist
)
(target, _), (target_test, target_test_labels) = keras_kd.data.digits()
target = target[:num_images]  # Their labels are not used.
target_test = target_test[: 150 if fast else None]
target_test_labels = target_test_labels[: len(target_test)]

"""
## The teacher

The frozen backbone gives features, a normalization and a dense head follow.
The head is trained on the labelled domain. Then the normalization, and nothing
else, is adapted to the other domain, which takes images and no labels, as Li
et al. (2016, arXiv:1603.04779) do in all layers.
"""


def take_scans(image):
    """Return what networks of `keras.applications` take, of small scans."""
    image = keras.layers.Resizing(pixels, pixels)(image)
    image = keras.layers.Rescaling(255.0)(image)
    return keras.layers.Concatenate()([image, image, image])


keras.utils.set_random_seed(0)
shape = (pixels, pixels, 3)
network = keras.applications.ResNet152(
    weights=weights, include_top=False, pooling="avg", input_shape=shape
)
network.trainable = False
image = keras.Input((8, 8, 1), name="image")
preprocess = keras.applications.resnet.preprocess_input
backbone = keras.Model(image, network(preprocess(take_scans(image))))
features, source_test_features, target_features, target_test_features = (
    backbone.predict(images, batch_size=50, verbose=0)
    for images in (source, source_test, target, target_test)
)


def standardize(features):
    """Return a layer that gives features a mean of 0 and a variance of 1."""
    return keras.layers.Normalization(
        mean=features.mean(0),
        variance=features.var(0) + 1e-3,  # Random features may be constant.
    )


at_home = standardize(features)
head = keras.Sequential([keras.layers.Dense(10, kernel_regularizer="l2")])
head.compile(
    keras.optimizers.Adam(1e-2),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
history = head.fit(
    at_home(features),
    source_labels,
    validation_data=(at_home(source_test_features), source_test_labels),
    epochs=20,
    verbose=0,
)
teacher_at_home = history.history["val_accuracy"][-1]
elsewhere = standardize(target_features)
teacher = keras.Model(image, head(elsewhere(backbone(image))), name="resnet152")

"""
## The student

`alpha=1.0` leaves the labels out: `fit` gets images and nothing else. The
cache keeps the teacher's answers, which are all that the student needs of it.
Batch normalization with a momentum of 0.9 instead of 0.99 has true averages
after a hundred steps.
"""

folder = Path(tempfile.mkdtemp())
cache = keras_kd.TeacherCache.build(
    folder / "cache", teacher, target, verbose=0
)
keras.utils.set_random_seed(0)
body = keras.applications.MobileNet(
    weights=weights,
    include_top=False,
    pooling="avg",
    input_shape=shape,
    alpha=0.25,
)
for layer in body.layers:
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.momentum = 0.9
image = keras.Input((8, 8, 1), name="image")
x = body(keras.layers.Rescaling(1 / 127.5, offset=-1.0)(take_scans(image)))
student = keras.Model(image, keras.layers.Dense(10)(x), name="mobilenet")

distiller = keras_kd.Distiller(cache, student, alpha=1.0)
steps = student_epochs * -(-len(target) // batch_size)
schedule = keras.optimizers.schedules.CosineDecay(5e-2, steps)
distiller.compile(keras.optimizers.SGD(schedule, momentum=0.9))
images = keras_kd.data.from_arrays(target, batch_size=batch_size, shuffle=True)
distiller.fit(cache.join(images), epochs=student_epochs, verbose=0)

"""
## The file
"""

path = folder / "mobilenet.tflite"
check = keras_kd.export.tflite(
    student, path, "int8", calibration=target, verify=target_test
)
answers = head.predict(elsewhere(target_test_features), verbose=0).argmax(-1)
of_teacher = float((answers == target_test_labels).mean())
of_file, as_teacher = (
    keras_kd.evaluate(path, (target_test, classes), latency=False).accuracy
    for classes in (target_test_labels, answers)
)
most_frequent = np.bincount(answers).max() / len(answers)
print("Accuracy                            MNIST   scans")
print(
    f"  ResNet-152, head of MNIST         {teacher_at_home:.1%}   "
    f"{of_teacher:.1%}"
)
print(f"  MobileNet in int8, no labels              {of_file:.1%}")

"""
## What to take away

Printed from the numbers above, not typed.
"""

print(
    f"Without a label the student picks what its teacher picks on "
    f"{as_teacher:.1%} of {len(target_test)} test images of the new domain "
    f"(always the same class would on {most_frequent:.1%}), in a file of "
    f"{check.size_bytes / 1000:,.0f} kB that agrees with it on "
    f"{check.agreement:.1%}. Nothing corrects the teacher: away from home it "
    f"is right on {of_teacher:.1%} and the file on {of_file:.1%}, at home it "
    f"was on {teacher_at_home:.1%}."
)
results = {
    "at_home": teacher_at_home,
    "teacher": of_teacher,
    "file": of_file,
    "teacher_agreement": as_teacher,
    "most_frequent": float(most_frequent),
    "student_agreement": check.agreement,
    "size_bytes": check.size_bytes,
    "cached": len(cache),
}
print(json.dumps(results))
