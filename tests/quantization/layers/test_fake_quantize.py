"""Ranges: when they move, when they round, what they remember."""

import keras
import numpy as np
import pytest

from keras_kd.quantization.layers.fake_quantize import FixedRange
from keras_kd.quantization.layers.fake_quantize import LearnedStep
from keras_kd.quantization.layers.fake_quantize import MovingRange
from keras_kd.quantization.layers.rounding import fake_quantize


@pytest.fixture(scope="module")
def batches():
    generator = np.random.default_rng(0)
    scales = [1.0, 3.0, 0.5, 2.0]
    return [
        (generator.normal(size=(6, 5)) * scale).astype("float32")
        for scale in scales
    ]


def test_the_first_batch_sets_a_moving_range_and_the_rest_move_it(batches):
    layer = MovingRange(momentum=0.9)
    for batch in batches:
        layer(batch, training=True)
    low, high = batches[0].min(), batches[0].max()
    for batch in batches[1:]:
        low = 0.9 * low + 0.1 * batch.min()
        high = 0.9 * high + 0.1 * batch.max()
    np.testing.assert_allclose([layer.low, layer.high], [low, high], rtol=1e-5)
    found = layer(batches[1])
    expected = fake_quantize(batches[1], low, high)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_moving_range_holds_0():
    layer = MovingRange()
    layer(np.float32([[2.0, 3.0]]), training=True)
    assert (float(layer.low), float(layer.high)) == (0.0, 3.0)


@pytest.mark.parametrize(
    ("low", "high", "below"),
    [(-1, 1, 128), (-0.5, 0.5, 128), (0, 3, 0), (-2, 0, 255), (-1, 3, 64)],
)
def test_0_is_on_the_grid_of_a_moving_range(low, high, below):
    layer = MovingRange()
    layer(np.float32([[low, high]]), training=True)
    step = (high - low) / 255
    grid = np.float32([-below * step, (255 - below) * step])
    np.testing.assert_allclose(layer.limits(), grid, rtol=1e-6)
    assert int(layer.zero_point()) == below - 128
    # Its ends round to themselves, in TensorFlow's own quantization too.
    np.testing.assert_allclose(fake_quantize(grid, *layer.limits()), grid)


def test_data_is_rounded_as_callers_do():
    halves = np.arange(-127.5, 128).astype("float32")[None] / 127.5
    layer = MovingRange(data=True)
    layer(halves, training=True)
    step = float(layer.grid_step())
    found = layer(halves) / step
    expected = np.clip(np.rint(halves / np.float64(step)), -128, 127)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    again = MovingRange.from_config(layer.get_config())
    assert again.data
    assert "data" not in MovingRange().get_config()


def test_inference_changes_nothing_and_rounds_only_what_was_seen(batches):
    layer = MovingRange()
    np.testing.assert_array_equal(layer(batches[0]), batches[0])
    layer(batches[0], training=True)
    before = layer.get_weights()
    assert np.abs(layer(batches[0]) - batches[0]).max() > 0
    assert layer.get_weights() == before
    layer.trainable = False
    layer(batches[1], training=True)
    assert layer.get_weights() == before


@pytest.mark.parametrize("kind", [MovingRange, LearnedStep])
def test_the_delay_counts_training_steps(batches, kind):
    layer = kind(delay=2)
    rounds = [
        bool(np.any(layer(batches[0], training=True) != batches[0]))
        for _ in range(4)
    ]
    assert rounds == [False, False, True, True]
    assert int(layer.steps) == 4
    # What is evaluated is the file's arithmetic, from the first step on.
    early = kind(delay=9)
    early(batches[0], training=True)
    assert np.any(early(batches[0]) != batches[0])


@pytest.mark.parametrize(("signed", "highest"), [(True, 127), (False, 255)])
def test_the_first_batch_sets_a_learned_step(batches, signed, highest):
    layer = LearnedStep(signed)
    batch = batches[0] if signed else np.abs(batches[0])
    layer(batch, training=True)
    step = 2 * np.abs(batch).mean() / np.sqrt(highest)
    np.testing.assert_allclose(layer.step, step, rtol=1e-6)
    layer(batches[1], training=True)
    np.testing.assert_allclose(layer.step, step, rtol=1e-6)
    # In inference and in training it is the same grid.
    np.testing.assert_allclose(
        layer(batch), layer(batch, training=True), atol=1e-6
    )
    assert len(layer.trainable_weights) == 1


def test_zeros_and_steps_below_zero_give_finite_numbers():
    zeros = np.zeros((3, 2), "float32")
    for layer in (MovingRange(), LearnedStep()):
        for _ in range(2):
            np.testing.assert_array_equal(layer(zeros, training=True), zeros)
        layer.fix()
        np.testing.assert_array_equal(layer(zeros), zeros)
        layer.release()
    layer.step.assign(-0.5)
    assert np.isfinite(layer(zeros + 1, training=True)).all()


@pytest.mark.parametrize(
    "layer",
    [
        MovingRange(0.8, delay=3),
        LearnedStep(False, delay=2),
        FixedRange(-1.0, 0.5, name="tanh"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_config(layer):
    made = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    assert type(made) is type(layer)
    assert made.get_config() == layer.get_config()


def test_fixed_numbers_are_the_ones_that_were_found(batches):
    layer = MovingRange()
    layer(batches[0], training=True)
    expected = layer(batches[1])
    layer.fix()
    np.testing.assert_array_equal(layer(batches[1], training=True), expected)
    layer.release()
    assert int(layer.steps) == 1
