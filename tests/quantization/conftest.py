"""Students that several files of this room quantize."""

import keras
import pytest
from aware_files import fed

from keras_kd import data
from keras_kd import quantization
from keras_kd import students

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def train(model, x, y, epochs, rate=1e-3):
    model.compile(keras.optimizers.Adam(rate), LOSS, metrics=["accuracy"])
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return model


@pytest.fixture(scope="session")
def digits():
    """`(x_train, y_train), (x_test, y_test)`."""
    return data.digits()


@pytest.fixture(scope="session")
def small():
    """An untrained float student of `digits`."""
    keras.utils.set_random_seed(0)
    return students.convnet((8, 8, 1), 10, filters=(16, 64), convs_per_stage=1)


@pytest.fixture(scope="session")
def small_aware(small, digits):
    """Its quantize-aware student, whose ranges have seen data."""
    return fed(small, digits[0][0][:64])


@pytest.fixture(scope="session")
def convnet(digits):
    """A trained float student."""
    keras.utils.set_random_seed(0)
    student = students.convnet((8, 8, 1), 10, width=0.25, convs_per_stage=1)
    return train(student, *digits[0], 6)


@pytest.fixture(scope="session")
def aware(convnet, digits):
    """Its quantize-aware student, one epoch on."""
    keras.utils.set_random_seed(0)
    return train(quantization.quantize_aware(convnet), *digits[0], 1, 1e-4)
