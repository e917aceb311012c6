"""What a trial leaves behind in the process: nothing of its models."""

import gc
import weakref
from typing import ClassVar

import keras
import pytest
from small_searches import data
from small_searches import make_tuner

X, Y = data()


def resident_mib():
    """Memory of this process that is in use now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20


class Watch(keras.callbacks.Callback):
    """Keeps weak references to every model it was given."""

    models: ClassVar = weakref.WeakSet()
    sizes: ClassVar = []

    def on_train_begin(self, logs=None):
        Watch.models.add(self.model)
        gc.collect()
        Watch.sizes.append(resident_mib())


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search of ten trials, gone but for what `Watch` noted."""
    tuner = make_tuner(tmp_path_factory.mktemp("search"), max_trials=10)
    tuner.search(
        X,
        Y,
        validation_data=(X, Y),
        epochs=1,
        verbose=0,
        callbacks=[Watch()],
    )


@pytest.mark.slow
def test_memory_grows_by_less_than_the_stated_bound(searched):
    """Keras and TensorFlow keep some of every traced function."""
    warm, last = Watch.sizes[3], Watch.sizes[-1]
    assert (last - warm) / (len(Watch.sizes) - 4) < 10.0


@pytest.mark.slow
def test_no_model_of_a_trial_outlives_the_search(searched):
    assert len(Watch.sizes) >= 10
    keras.backend.clear_session()
    gc.collect()
    assert not list(Watch.models)
