"""A tiny problem to search on, and a tuner that takes it."""

import keras
import numpy as np

NUM_CLASSES = 3


def data(count=48, features=6):
    """Inputs whose largest of three features is the class."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(count, features)).astype("float32")
    return x, x[:, :NUM_CLASSES].argmax(axis=1).astype("int32")


def dense(units=8, dropout=0.0, name=None, head=None):
    inputs = keras.Input((6,))
    x = keras.layers.Dense(units, "relu", name="hidden")(inputs)
    if dropout:
        x = keras.layers.Dropout(dropout)(x)
    outputs = keras.layers.Dense(NUM_CLASSES, head, name="head")(x)
    return keras.Model(inputs, outputs, name=name)


def student_of(width):
    """32 units at width 1: 323 weights; 10 a unit and 3."""
    return dense(max(1, round(32 * width)))


def weights_of(units):
    """The weights of `dense(units)`, counted by hand."""
    return 6 * units + units + units * NUM_CLASSES + NUM_CLASSES


def make_tuner(folder, teacher=None, build=student_of, **arguments):
    from keras_kd.search import StudentTuner

    settings = {"tuner": "random", "max_trials": 3, "seed": 1}
    return StudentTuner(
        dense(16, name="teacher") if teacher is None else teacher,
        build,
        directory=str(folder),
        project_name="search",
        **settings | arguments,
    )
