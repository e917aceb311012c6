"""Students that several files of this room export."""

import keras
import numpy as np
import pytest


@pytest.fixture(scope="session")
def data():
    """Three classes of 8x8 images: bright in the left, middle or right."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 300)
    images = generator.uniform(0, 0.5, (300, 8, 8, 1)).astype("float32")
    for image, label in zip(images, labels, strict=True):
        image[:, 3 * label : 3 * label + 2] += 0.5
    return images, labels


@pytest.fixture(scope="session")
def student(data):
    """A small trained convolutional student with 7 thousand weights."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    student = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(8, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(40, activation="relu"),
            layers.Dense(3),
        ],
        name="student",
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    student.compile("adam", loss)
    student.fit(*data, epochs=2, verbose=0)
    return student


@pytest.fixture(scope="session")
def tiny():
    """A student of 12 weights."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(3)], name="tiny"
    )
