"""Rows and classes that the Distiller's tests train on."""

import numpy as np
import pytest


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(32, 6)).astype("float32")


@pytest.fixture
def classes():
    return np.random.default_rng(1).integers(0, 3, 32)
