"""Operators of the simulation against NumPy and against those of LiteRT."""

import keras
import numpy as np
import pytest
from aware_files import fed
from aware_files import file_apart
from keras import layers

from keras_kd.quantization.layers.rounding import fake_quantize
from keras_kd.quantization.litert_arithmetic.operators import (
    rounded_as_averages,
)


@pytest.mark.parametrize(("low", "high"), [(0.0, 2.55), (-1.28, 1.27)])
def test_averages_round_halves_away_from_zero(low, high):
    """As LiteRT's average pooling does with its sums of whole numbers."""
    pairs = np.random.default_rng(3).integers(-128, 128, (2, 500))
    total = pairs.sum(0)
    expected = (np.abs(total) + 1) // 2 * np.sign(total)
    assert np.mean(total % 2) > 0.4
    zero = -128 if low == 0 else 0
    means = (total / 2 - zero) * 0.01
    nudged = rounded_as_averages(
        keras.ops.convert_to_tensor(means.astype("float32")), low, high
    )
    found = fake_quantize(nudged, low, high)
    np.testing.assert_allclose(found / 0.01 + zero, expected, atol=1e-3)


def means_apart(x, seen, folder):
    """`file_apart` of a student that averages images."""
    inputs = keras.Input(x.shape[1:], name="x")
    pool = layers.GlobalAveragePooling2D()
    model = fed(keras.Model(inputs, pool(inputs)), seen, 2)
    return file_apart(model, x, folder)


@pytest.mark.export
@pytest.mark.parametrize("side", [12, pytest.param(28, marks=pytest.mark.slow)])
def test_means_of_values_far_from_0(side, tmp_path):
    """What is subtracted again is large."""
    generator = np.random.default_rng(side)
    x = generator.normal(0, 0.15, (300, side, side, 16)) - 0.02
    x = x.clip(-0.278, 13).astype("float32")
    x[:, 0, 0, 0], x[:, 0, 1, 1] = 13.6, -0.278
    gap, file = means_apart(x, x, tmp_path)
    assert file.operators == ["MEAN"]
    # With a factor that is rounded twice 4 and 17 were a step off.
    assert gap.max() < 0.5


@pytest.mark.export
@pytest.mark.parametrize(
    ("side", "seed"),
    [(3, 302), pytest.param(6, 603, marks=pytest.mark.slow)],
)
def test_means_that_are_halves(side, seed, tmp_path):
    """Which way they go is decided by the last bit of three products."""
    generator = np.random.default_rng(seed)
    center = generator.normal() * 0.05
    x = generator.normal(center, 0.15, (400, side, side, 16))
    x = (x * generator.uniform(0.2, 1, (1, 1, 1, 16))).clip(-0.278, 13)
    x = x.astype("float32")
    gap, _ = means_apart(x, x[:200], tmp_path)
    # With the zero point times the unrounded factor 7 and 12 were a step off.
    assert gap.max() < 0.5


@pytest.mark.export
def test_a_constant_is_added_in_whole_numbers(tmp_path):
    """`relu(x + 3)`, as in MobileNetV3: one value is 0.001 from a half."""
    inputs = keras.Input((256,), name="x")
    low, high = -0.7571402, 0.838485837
    x = np.linspace(low, high, 256, dtype="float32")[np.newaxis]
    model = fed(keras.Model(inputs, layers.ReLU()(inputs + 3.0)), x)
    model.layers[-1].high.assign(3.838485956)
    gap, _ = file_apart(model, x, tmp_path)
    assert gap.max() < 0.5


@pytest.mark.slow
@pytest.mark.export
def test_biases_of_half_a_step_are_divided_in_64_bits(tmp_path):
    """The number beside moves one result in thousands."""
    generator = np.random.default_rng(0)
    x = np.linspace(-0.7, 1.1, 256, dtype="float32")[:, np.newaxis]
    inputs = keras.Input((1,), name="x")
    dense = layers.Dense(64, kernel_initializer="ones", name="dense")
    model = fed(keras.Model(inputs, dense(inputs)), x)
    halves = generator.integers(-8000, 8000, 64) + 0.5
    step = (1.1 + 0.7) / 255
    model.get_layer("dense").bias.assign(halves * step / 127)
    model.layers[-1].low.assign(-1.2)
    model.layers[-1].high.assign(1.6)
    gap, _ = file_apart(model, x, tmp_path)
    assert gap.max() < 0.5


@pytest.mark.slow
@pytest.mark.export
def test_a_bias_on_nothing_but_zeros(tmp_path):
    """What never fired has a grid too, and the bias after it a step."""
    x = np.linspace(0, 1, 32, dtype="float32")[:, np.newaxis]
    keras.utils.set_random_seed(0)
    inputs = keras.Input((1,), name="x")
    dense = layers.Dense(8, bias_initializer="glorot_uniform")
    model = fed(keras.Model(inputs, dense(layers.ReLU()(inputs))), -x)
    gap, _ = file_apart(model, -x, tmp_path)
    assert gap.max() < 0.5
