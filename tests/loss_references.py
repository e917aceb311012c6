"""Golden inputs and the arrays that the authors' own code produced."""

import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

# The folder of the arrays; see CONTRIBUTING.md.
REFERENCE = os.environ.get("KERAS_KD_REFERENCE")

# Deterministic inputs of the golden values, indices from 0.
_I, _J = np.mgrid[0:8, 0:10].astype("float64")
STUDENT = 3 * np.sin(0.7 * _I + 1.3 * _J + 0.2)
TEACHER = 4 * np.cos(0.5 * _I - 0.9 * _J + 0.1)
LABELS = 3 * np.arange(8) % 10
_I, _J = np.mgrid[0:8, 0:16].astype("float64")
STUDENT_FEATURES = np.sin(1 + 0.37 * (_I + 1) * (_J + 1))
TEACHER_FEATURES = np.cos(0.5 + 0.23 * (_I + 2) * (_J + 1))
_N, _H, _W, _C = np.mgrid[0:4, 0:8, 0:8, 0:6].astype("float64")
STUDENT_MAPS = np.sin(
    0.11 * (_N + 1) * (_C + 1) + 0.3 * _H + 0.17 * _W * (_C + 1)
)
TEACHER_MAPS = np.cos(0.2 * (_N + 1) + 0.1 * (_C + 1) * (_H + 1) - 0.21 * _W)


def mean_and_gradient(function, student):
    """Mean of the per-example values and its gradient, in one structure."""
    student = keras.tree.map_structure(tf.constant, student)
    with tf.GradientTape() as tape:
        for leaf in keras.tree.flatten(student):
            tape.watch(leaf)
        mean = tf.reduce_mean(function(student))
    slopes = tape.gradient(mean, student)
    return mean.numpy(), keras.tree.map_structure(lambda g: g.numpy(), slopes)


def check_golden(loss, teacher, student, value, norm, labels=None):
    """Check the mean and its gradient's norm against published numbers."""
    got, slope = mean_and_gradient(lambda s: loss(teacher, s, labels), student)
    assert got.dtype == np.float64
    assert abs(got - value) <= 1e-6 * value + 5e-9  # 8 decimals are given
    found = np.linalg.norm(slope)
    assert abs(found - norm) <= 1e-6 * norm + 5e-9


def reference_cases(name):
    """Return the cases of a file as parameters of a test."""
    if not REFERENCE:
        return [pytest.param(None, id="absent")]
    path = Path(REFERENCE) / f"{name}.npz"
    arrays = np.load(path, allow_pickle=False)
    cases = {}
    for key in arrays.files:
        case, field = key.split("/")
        cases.setdefault(case, {})[field] = arrays[key]
    return [pytest.param(c, id=str(c["name"])) for c in cases.values()]


def number(case, name):
    """Return a number of a case, or 1 without cases."""
    return 1.0 if case is None else float(case[name])


def arrays(case, name):
    """Return an array of a case, or the list of arrays of several layers."""
    if name in case:
        return case[name]
    several = [case[f"{name}_{k}"] for k in range(int(case["num_layers"]))]
    return several if len(several) > 1 else several[0]


def check_reference(case, loss, inputs="logits", alive=slice(None)):
    """Check one case in float64 and in float32.

    Where the reference is not finite, or wrong, the loss must be finite.

    Args:
        case: A case of `reference_cases`.
        loss: The loss, made for it.
        inputs: `"logits"` or `"features"`.
        alive: The rows whose gradient is compared where the case asks for
            the value alone.
    """
    if case is None:
        pytest.skip("needs KERAS_KD_REFERENCE, the folder of the arrays")
    names = [f"{role}_{inputs}" for role in ("teacher", "student")]
    teacher, student = (arrays(case, name) for name in names)
    labels = case.get("labels")
    expected = float(case["value"])
    slopes = keras.tree.flatten(arrays(case, f"grad_student_{inputs}"))
    for dtype, check in (("float64", "check_f64"), ("float32", "check_f32")):
        given, taken = (
            keras.tree.map_structure(lambda x, d=dtype: x.astype(d), each)
            for each in (teacher, student)
        )
        value, gradients = mean_and_gradient(
            lambda s, t=given: loss(t, s, labels), taken
        )
        gradients = keras.tree.flatten(gradients)
        assert value.dtype == dtype
        assert np.isfinite(value)
        assert all(np.isfinite(each).all() for each in gradients)
        asked = str(case[check])
        if asked not in ("value+grad", "value"):
            continue
        single = dtype == "float32"
        limit = 1e-6 * abs(expected) + 1e-12
        limit = float(case["suggested_atol_f32"]) if single else limit
        assert abs(value - expected) <= limit
        rows = slice(None) if asked == "value+grad" else alive
        for found, slope in zip(gradients, slopes, strict=True):
            limit = 1e-6 * np.abs(slope[rows]).max(initial=0) + 1e-12
            if single and asked == "value+grad":
                limit = float(case["suggested_grad_atol_f32"])
            elif single:
                limit *= 20
            assert np.abs(found[rows] - slope[rows]).max(initial=0) <= limit
