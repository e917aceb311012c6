"""What every test shares: a quiet TensorFlow, seeds, tiny models and data."""

import gc
import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_HOME"] = tempfile.mkdtemp(prefix="keras-home-")
if "PYTEST_XDIST_WORKER" in os.environ:
    # The workers share the cores: without this each starts a thread per core.
    # PyTorch's threads even turn while they wait.
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

NUM_CLASSES = 3
INPUT_SHAPE = (6, 6, 1)


TRACED = "KERAS_KD_TRACED" in os.environ


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Run some tests and their fixtures without tracing, which takes longest.

    These are doctests, tests marked `untraced`, and those marked `eager`,
    which `make test-slow` runs once more, traced.
    """
    marked = item.get_closest_marker("eager")
    eager = marked is not None and marked.args != (False,) and not TRACED
    if item.get_closest_marker("untraced") is not None:
        eager = True
    if not eager and not isinstance(item, pytest.DoctestItem):
        return (yield)
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        return (yield)
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.fixture(autouse=True)
def seed():
    """Seed Python, NumPy and Keras before each test."""
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session", autouse=True)
def cheap_graphs():
    """Run graphs as they were traced, and collect garbage less often.

    Optimizing a graph that runs twice costs more than it saves, and what
    TensorFlow leaves is looked through at every collection. `make test-slow`
    runs the graphs that users run.
    """
    import tensorflow as tf

    gc.set_threshold(200_000, 50, 100)
    gc.freeze()
    if not TRACED:
        tf.config.optimizer.set_experimental_options(
            {"disable_meta_optimizer": True}
        )


@pytest.fixture(scope="session", autouse=True)
def lasting_kernels():
    """Keep the kernels of operations when a test is seeded.

    TensorFlow drops them, for those that remember a random number, and makes
    them anew in every test: half of what an untraced step costs. Keras draws
    from seeds of its own, and no test from the kernels.
    """
    from tensorflow.python.eager import context

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            context.pywrap_tfe, "TFE_ContextClearCaches", lambda handle: None
        )
        yield


@pytest.fixture(scope="session")
def images():
    """48 images whose brightest column tells the class, float32 in [0, 1]."""
    generator = np.random.default_rng(0)
    pixels = generator.uniform(0.0, 0.4, (48, *INPUT_SHAPE))
    for index in range(len(pixels)):
        pixels[index, :, 2 * (index % NUM_CLASSES)] += 0.5
    return pixels.astype("float32")


@pytest.fixture(scope="session")
def labels():
    """The classes of `images`."""
    return (np.arange(48) % NUM_CLASSES).astype("int32")


@pytest.fixture
def make_classifier():
    """A function that builds a small Functional model ending in logits."""

    def build(filters=4, name="model"):
        import keras

        inputs = keras.Input(INPUT_SHAPE, name="image")
        x = keras.layers.Conv2D(filters, 3, activation="relu", name="conv")(
            inputs
        )
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        outputs = keras.layers.Dense(NUM_CLASSES, name="logits")(x)
        return keras.Model(inputs, outputs, name=name)

    return build


@pytest.fixture
def teacher(make_classifier):
    """An untrained teacher of `images`."""
    return make_classifier(filters=8, name="teacher")


@pytest.fixture
def student(make_classifier):
    """An untrained student, smaller than `teacher`."""
    return make_classifier(filters=2, name="student")
