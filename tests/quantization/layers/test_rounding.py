"""Rounding and its gradients against NumPy in float64."""

import numpy as np
import pytest
import tensorflow as tf

from keras_kd.quantization.layers import rounding


def grid(values, low, high):
    """Restate int8: scale, nearest zero point, halves up, clipped."""
    values, low, high = (np.float64(v) for v in (values, low, high))
    scale = (high - low) / 255
    zero = np.floor(-low / scale + 0.5)
    whole = np.floor(values / scale + 0.5)
    return np.clip(whole, -zero, 255 - zero) * scale


@pytest.fixture(scope="module")
def values():
    return np.random.default_rng(0).normal(size=(7, 40)).astype("float32")


@pytest.mark.parametrize(
    ("low", "high"), [(-1.0, 2.0), (0.0, 1.5), (-2.2, 0.0), (-0.31, 0.77)]
)
def test_fake_quantize(values, low, high):
    inputs = tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        found = rounding.fake_quantize(inputs, low, high)
    np.testing.assert_allclose(found, grid(values, low, high), atol=1e-6)
    assert len(np.unique(found)) <= 256
    # The gradient passes inside the nudged range.
    scale = (high - low) / 255
    shift = scale * np.floor(-low / scale + 0.5)
    inside = (values >= -shift) & (values <= 255 * scale - shift)
    np.testing.assert_array_equal(tape.gradient(found, inputs), inside)


@pytest.mark.parametrize("per_channel", [True, False])
def test_quantize_kernel(per_channel):
    kernel = np.random.default_rng(1).normal(size=(3, 3, 4, 5))
    kernel *= [1, 0.1, 0.01, 3, 1e-9]
    axes = (0, 1, 2) if per_channel else None
    largest = np.abs(kernel).max(axis=axes)
    high = np.maximum(largest, 1e-4 * largest.max())
    step = high / 127
    weights = tf.constant(kernel.astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(weights)
        span = rounding.kernel_range(weights, per_channel)
        found = rounding.quantize_kernel(weights, span)
    np.testing.assert_allclose(span, high, rtol=1e-6)
    np.testing.assert_allclose(found, np.rint(kernel / step) * step, atol=1e-6)
    np.testing.assert_array_equal(
        tape.gradient(found, weights), np.ones_like(kernel)
    )


@pytest.mark.parametrize(("lowest", "highest"), [(-128, 127), (0, 255)])
def test_learned_step(values, lowest, highest):
    step = 0.011
    v = np.float64(values) / step
    inside = (v >= lowest) & (v <= highest)
    whole = np.floor(np.clip(v, lowest, highest) + 0.5)
    weight = np.random.default_rng(2).normal(size=values.shape)
    # Equation 3, its rows in the order clipped below, above, inside.
    slope = np.where(inside, whole - v, np.where(v < 0, lowest, highest))
    share = 1 / np.sqrt(values.shape[1] * highest)

    inputs, variable = tf.constant(values), tf.Variable(step)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        found = rounding.learned_step(inputs, variable, lowest, highest)
        total = tf.reduce_sum(found * weight.astype("float32"))
    by_input, by_step = tape.gradient(total, [inputs, variable])
    np.testing.assert_allclose(found, whole * step, atol=1e-6)
    np.testing.assert_allclose(by_input, inside * weight, atol=1e-6)
    np.testing.assert_allclose(
        by_step, (slope * weight).sum() * share, rtol=1e-4
    )
