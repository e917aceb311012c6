"""A NumPy teacher that says something else for each example."""

import numpy as np
import pytest

import keras_kd


def numpy_logits(x):
    """Logits of 5 classes that depend on every value of the example."""
    flat = np.asarray(x, np.float64).reshape(len(x), -1)
    angles = flat @ np.linspace(1.0, 2.0, flat.shape[1])
    return np.stack([np.sin(angles * k) * k for k in range(1, 6)], -1)


@pytest.fixture(name="numpy_logits")
def _numpy_logits():
    return numpy_logits


@pytest.fixture
def build(tmp_path):
    """Build a cache of `numpy_logits`, or of another teacher, in silence."""

    def run(dataset, teacher=numpy_logits, path=tmp_path / "cache", **settings):
        if not hasattr(teacher, "layers"):
            settings.setdefault("teacher_output", "logits")
            settings.setdefault("teacher_id", "numpy")
        settings.setdefault("dtype", "float32")
        return keras_kd.TeacherCache.build(
            path, teacher, dataset, verbose=0, **settings
        )

    return run


@pytest.fixture(scope="session")
def vectors():
    """100 examples of 4 numbers."""
    return np.random.default_rng(0).normal(size=(100, 4)).astype("float32")
