"""What the converter gets wrong in integer files."""

import keras
import numpy as np
import pytest

from keras_kd import export
from keras_kd.evaluation.litert import LiteRTModel
from keras_kd.evaluation.tflite_file import read_file
from keras_kd.export.conversion.repairs import repaired

pytestmark = [pytest.mark.export, pytest.mark.slow]
layers = keras.layers
PADDING = -1.5


def exported(student, x, path, kind="int8"):
    assert export.tflite(student, path, kind, calibration=x).passed
    content = path.read_bytes()
    assert repaired(content) == content
    return read_file(content).graphs[0], LiteRTModel(path).predict(x)


def test_a_reversal_copies_bytes_of_one_grid(tmp_path):
    """The sums of both halves make the converter choose another grid."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5, 4))
    both = layers.Bidirectional(layers.GRU(6, return_sequences=True))(inputs)
    student = keras.Model(inputs, both)
    x = np.random.default_rng(0).normal(size=(64, 5, 4)).astype("float32")
    graph, found = exported(student, x, tmp_path / "x.tflite")
    reversals = [op for op in graph.operators if op.name == "REVERSE_V2"]
    assert reversals
    for operator in reversals:
        source = graph.tensors[operator.inputs[0]]
        target = graph.tensors[operator.outputs[0]]
        assert source.scales == target.scales
        assert source.zero_points == target.zero_points
    error = found - student.predict(x, verbose=0)
    forward, backward = np.split(error, 2, axis=-1)
    # Bytes of another grid would be off in one direction.
    assert abs(backward.mean()) < 2e-3
    assert np.abs(backward).mean() < 1.5 * np.abs(forward).mean()


def padded():
    """Return sequences of 1 to 5 steps, padded to 5."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (64, 5, 3)).astype("float32")
    for row, length in zip(x, rng.integers(1, 6, 64), strict=True):
        row[length:] = PADDING
    return x


def masked():
    keras.utils.set_random_seed(0)
    stack = [keras.Input((5, 3)), layers.Masking(PADDING), layers.LSTM(6)]
    return keras.Sequential(stack)


def test_a_mask_survives(tmp_path):
    student, x = masked(), padded()
    graph, found = exported(student, x, tmp_path / "x.tflite")
    [grid] = [graph.tensors[index] for index in graph.inputs]
    steps = (PADDING / grid.scales[0]) % 1
    assert 1e-3 < steps < 1 - 1e-3, "The padding is a whole number of steps."
    expected = student.predict(x, verbose=0)
    np.testing.assert_allclose(found, expected, atol=0.05 * np.ptp(expected))


def test_16_bits_have_no_masks(tmp_path):
    with pytest.raises(RuntimeError, match=r"NOT_EQUAL.*Use 'int8'"):
        exported(masked(), padded(), tmp_path / "x.tflite", "int16x8")


def test_the_mask_is_of_the_padding_alone(tmp_path):
    """The mask, as numbers, is that of NumPy for every step."""
    inputs = keras.Input((5, 3))
    mask = keras.ops.any(keras.ops.not_equal(inputs, PADDING), axis=-1)
    student = keras.Model(inputs, keras.ops.where(mask, inputs[..., 0], 0.0))
    x = padded()
    _, found = exported(student, x, tmp_path / "x.tflite")
    expected = np.where((x != PADDING).any(-1), x[..., 0], 0.0)
    np.testing.assert_allclose(found, expected, atol=0.01)
