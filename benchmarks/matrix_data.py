"""What the students of the export matrix are given."""

import inspect
from typing import Any

import keras
import numpy as np

import keras_kd

APPLICATION_SIDE, LENGTH, NUM_CLASSES = 96, 32, 10
BATCH = 64
Data = tuple[np.ndarray, np.ndarray]


def images(train: int, test: int) -> tuple[Data, Data]:
    """Return images of cifar10_jpeg, 0 to 1, and their labels."""
    data = keras_kd.data.load("cifar10_jpeg", batch_size=BATCH, max_train=train)
    return taken(data.train, train), taken(data.test, test)


def taken(dataset: Any, count: int) -> Data:
    """Return the first examples of a pipeline as arrays."""
    parts = list(dataset.take(-(-count // BATCH)).as_numpy_iterator())
    x, y = (np.concatenate(column)[:count] for column in zip(*parts, strict=1))
    return x, y


def enlarged(data: tuple[Data, Data], build: Any) -> list[np.ndarray]:
    """Return images as an application takes them: larger, its own scale."""
    preprocess = inspect.getmodule(build).preprocess_input  # type: ignore
    size = (APPLICATION_SIDE, APPLICATION_SIDE)
    return [
        preprocess(np.array(keras.ops.image.resize(x * 255.0, size)))
        for x, _ in data
    ]


def words(train: int, test: int) -> tuple[Data, Data]:
    """Make texts of 10 classes: a third of the words tell the class."""
    generator = np.random.default_rng(0)
    count = train + test
    labels = generator.integers(0, NUM_CLASSES, count).astype("int32")
    common = generator.integers(1000, 20_000, (count, LENGTH))
    own = 1 + 50 * labels[:, None] + generator.integers(0, 50, common.shape)
    tells = generator.random(common.shape) < 1 / 3
    x = np.where(tells, own, common).astype("int32")
    return (x[:train], labels[:train]), (x[train:], labels[train:])
