"""
Title: From a folder of your own photos to a file for a device
Author: keras_kd contributors
Date created: 2026/11/29
Last modified: 2026/11/29
Description: One call turns a Keras model and a folder into a verified file.
Accelerator: None
"""

"""
## Introduction

You have a Keras model that tells your photos apart, and a folder of photos,
one folder a class. `keras_kd.compress` gives back a file in int8 for a phone
or a board, small enough for the limit that you name, and a report to show to
somebody. Nothing has to be written for it: no loop, no reader of photos, no
choice of a student.

So that this example runs offline, it makes the folder from images of
CIFAR-10, in three sizes and two formats as photos come, and trains the model
in plain Keras.
"""

import json
import os
import tempfile
from pathlib import Path

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter

import keras_kd

fast = os.environ.get("KERAS_KD_FAST") == "1"
num_images = 1_000 if fast else 10_000
teacher_epochs = 15 if fast else 30
trials, epochs = (1, 10) if fast else (4, 30)
classes = {0: "airplane", 1: "automobile", 6: "frog", 7: "horse"}
sizes = ((32, 32), (40, 30), (48, 48))

"""
## The folder

`photos/airplane/0012.jpg` and so on. `keras_kd` also takes folders that have
`train`, `validation` and `test` above the classes. Without them it holds
photos out itself, the same ones every time.
"""

try:
    import tensorflow_datasets as tfds

    images, labels = tfds.load(
        "cifar10_jpeg",
        split=f"train[:{num_images}]",
        batch_size=-1,
        as_supervised=True,
        download=False,
    )
except (ImportError, OSError) as error:
    missing = "This example needs cifar10_jpeg of tensorflow-datasets."
    print(json.dumps({"skipped": f"{missing} {error}"}))
    raise SystemExit(0) from error

folder = Path(tempfile.mkdtemp())
photos = folder / "photos"
for number, (pixels, label) in enumerate(
    zip(images.numpy(), labels.numpy(), strict=True)
):
    if label in classes:
        ending = "png" if number % 2 else "jpg"
        path = photos / classes[label] / f"{number:05}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = keras.utils.array_to_img(pixels)
        image.resize(sizes[number % len(sizes)]).save(path)

"""
## The model

As one trains it in Keras: bytes go in, its first layers rescale them and vary
them in training. It could as well be a `.keras` file that you have.
"""

train, validation = keras.utils.image_dataset_from_directory(
    photos,
    validation_split=0.2,
    subset="both",
    seed=0,
    image_size=(32, 32),
    batch_size=32,
    verbose=False,
)

keras.utils.set_random_seed(0)
image = x = keras.Input((32, 32, 3))
x = keras.layers.Rescaling(1 / 255)(x)
x = keras.layers.RandomFlip("horizontal")(x)
for width in (16, 32) if fast else (32, 64, 128):
    x = keras.layers.Conv2D(
        width, 3, strides=2, padding="same", activation="relu"
    )(x)
x = keras.layers.GlobalAveragePooling2D()(x)
logits = keras.layers.Dense(len(classes))(x)
teacher = keras.Model(image, logits, name="teacher")
teacher.compile(
    keras.optimizers.Adam(2e-3),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
teacher.fit(train, validation_data=validation, epochs=teacher_epochs, verbose=0)

"""
## One call

The photos get the size that the teacher takes, and stay bytes, because its
first layer rescales them. The teacher's outputs are cached; the width of the
student and the settings of distillation are searched under the limit; the
best student is trained longer, exported, and compared with its file.
"""

compressed = keras_kd.compress(
    teacher,
    photos,
    size_bytes="30kB",
    trials=trials,
    epochs=epochs,
    batch_size=16 if fast else 64,
    learning_rate=5e-3,
    output=folder / "compressed",
)
print(compressed.answer())
print(compressed.shortfall or "It keeps to the limit.")
print(f"Student: {compressed.values}")

"""
## The file at work

A file in int8 takes bytes, shifted as its input says, and nothing of
`keras_kd` is needed to run it. Here it looks at one photo.
"""

interpreter = Interpreter(str(compressed.path))
interpreter.allocate_tensors()
(taken,), (given,) = (
    interpreter.get_input_details(),
    interpreter.get_output_details(),
)
path = sorted((photos / "frog").iterdir())[0]
pixels = keras.utils.img_to_array(
    keras.utils.load_img(path, target_size=(32, 32))
)
scale, zero_point = taken["quantization"]
quantized = np.round(pixels / scale) + zero_point
interpreter.set_tensor(taken["index"], quantized[None].astype(taken["dtype"]))
interpreter.invoke()
guess = int(interpreter.get_tensor(given["index"]).argmax())
class_names = compressed.data["class_names"]
print(f"{path.parent.name}/{path.name}: {class_names[guess]}")

"""
## What to take away

Printed from the numbers above, not typed.
"""

found = list(compressed.evaluations.values())
teacher_found, file_found = found[0], found[-1]
results = {
    "photos": len(list(photos.rglob("*.*g"))),
    "class_names": list(class_names),
    "scale": compressed.data["scale"],
    "teacher": teacher_found.accuracy,
    "file": file_found.accuracy,
    "test_photos": file_found.num_examples,
    "size_bytes": compressed.path.stat().st_size,
    "parameters": [each.num_params for each in found[:2]],
    "input_step": float(scale),
    "agreement": compressed.verification.agreement,
    "report_bytes": compressed.report_path.stat().st_size,
}
print(
    f"From {results['photos']:,} photos and a model of "
    f"{results['parameters'][0]:,} parameters to a file of "
    f"{results['size_bytes']:,} bytes: it is right on "
    f"{results['file']:.1%} of {results['test_photos']} photos that nothing "
    f"else has seen, the model on {results['teacher']:.1%}. The file picks the "
    f"student's class on {results['agreement']:.1%} of the validation photos."
)
print(json.dumps(results))
