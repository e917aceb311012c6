"""Folding and rounding of kernels against NumPy in float64."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_kd.quantization.layers.kernels import KERNELS

EPSILON = 1e-3
# Layer, and how many output channels it has of 4 input channels.
LAYERS = {
    "Conv2D": (lambda: layers.Conv2D(6, 1), 6),
    "DepthwiseConv2D": (
        lambda: layers.DepthwiseConv2D(1, 2 * [1], "valid", 2),
        8,
    ),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(5, 1), 5),
    "Conv1D": (lambda: layers.Conv1D(6, 1), 6),
    "Dense": (lambda: layers.Dense(6), 6),
}


def quantized(name, generator, **arguments):
    """The quantized layer of a one-pixel layer, and its weights."""
    plain, channels = LAYERS[name]
    config = plain().get_config()
    norm = layers.BatchNormalization(epsilon=EPSILON, momentum=0.9)
    layer = KERNELS[getattr(layers, name)].from_config(
        config | {"norm": norm} | arguments
    )
    axes = {"Conv1D": 1, "Dense": 0}.get(name, 2)
    layer.build((None, *[3] * axes, 4))
    for weight in layer.trainable_weights:
        weight.assign(generator.normal(size=weight.shape))
    norm.set_weights(
        [generator.uniform(-2, 2, channels) for _ in range(3)]
        + [generator.uniform(0.1, 3, channels)]
    )
    return layer, (3,) * axes


def matrix(name, kernel):
    """The kernel of one pixel as `(inputs, outputs)`."""
    kernel = np.float64(kernel)
    if name == "DepthwiseConv2D":
        matrix = np.zeros((4, 4, 2))
        matrix[np.arange(4), np.arange(4)] = kernel[0, 0]
        return matrix.reshape(4, 8)
    if name == "Conv2DTranspose":
        return kernel[0, 0].T
    return kernel.reshape(4, -1)


def rounded(kernel, per_channel):
    axis = 0 if per_channel else None
    step = np.abs(kernel).max(axis=axis) / 127
    return np.rint(kernel / step) * step


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_inference_folds_and_then_rounds(name, per_channel):
    generator = np.random.default_rng(0)
    layer, shape = quantized(name, generator, per_channel=per_channel)
    assert layer.per_channel == (
        per_channel and name not in ("Dense", "Conv2DTranspose")
    )
    gamma, beta, mean, variance = map(np.float64, layer.norm.get_weights())
    factor = gamma / np.sqrt(variance + EPSILON)
    kernel = matrix(name, layer.kernel)
    bias = (np.float64(layer.bias) - mean) * factor + beta
    x = generator.normal(size=(2, *shape, 4))
    expected = x @ rounded(kernel * factor, layer.per_channel) + bias
    np.testing.assert_allclose(layer(x.astype("float32")), expected, atol=2e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_training_normalizes_by_the_batch(name):
    generator = np.random.default_rng(1)
    layer, shape = quantized(name, generator)
    gamma, beta, mean, variance = map(np.float64, layer.norm.get_weights())
    kernel = matrix(name, layer.kernel)
    bias = np.float64(layer.bias)
    x = generator.normal(size=(5, *shape, 4))

    def normalized(values):
        flat = values.reshape(-1, values.shape[-1])
        center, spread = flat.mean(0), flat.var(0) + EPSILON
        return (values - center) / np.sqrt(spread) * gamma + beta, center

    if layer.per_channel:
        values = x @ rounded(kernel, True) + bias
        expected, center = normalized(values)
    else:
        folded = kernel * gamma / np.sqrt(variance + EPSILON)
        expected, center = normalized(x @ kernel + bias)
        expected += x @ (rounded(folded, False) - folded)
    found = layer(x.astype("float32"), training=True)
    np.testing.assert_allclose(found, expected, atol=3e-5)
    np.testing.assert_allclose(
        layer.norm.moving_mean, 0.9 * mean + 0.1 * center, atol=1e-5
    )


def test_a_step_a_channel_commutes_with_folding():
    """Why one convolution is enough in training."""
    generator = np.random.default_rng(2)
    kernel = generator.normal(size=(40, 7))
    factor = generator.uniform(-3, 3, 7)
    np.testing.assert_allclose(
        rounded(kernel * factor, True),
        rounded(kernel, True) * factor,
        atol=1e-12,
    )


def test_a_frozen_normalization_stays():
    generator = np.random.default_rng(3)
    layer, shape = quantized("Conv2D", generator)
    layer.norm.trainable = False
    before = layer.norm.get_weights()
    x = generator.normal(size=(5, *shape, 4)).astype("float32")
    np.testing.assert_allclose(layer(x, training=True), layer(x), atol=1e-6)
    np.testing.assert_array_equal(layer.norm.get_weights()[2], before[2])


def test_the_delay_counts_training_steps():
    layer = KERNELS[layers.Dense](3, delay=2)
    x = np.ones((1, 4), "float32")
    layer.build((1, 4))
    exact = x @ layer.kernel.numpy()
    rounds = [
        bool(np.any(np.abs(layer(x, training=True) - exact) > 1e-6))
        for _ in range(4)
    ]
    assert rounds == [False, False, True, True]


@pytest.mark.parametrize("name", LAYERS)
def test_config(name):
    layer, _ = quantized(name, np.random.default_rng(0), delay=1)
    made = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    assert made.get_config() == layer.get_config()
    assert [w.shape for w in made.weights] == [w.shape for w in layer.weights]
