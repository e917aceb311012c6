"""Integer products against Python's whole numbers, and files in runtimes."""

import math

import keras
import numpy as np
import pytest
from aware_files import fed
from aware_files import steps_apart
from keras import layers
from small_families import examples
from small_families import small

from keras_kd import export
from keras_kd.evaluation.runtimes import ON_TFLITE
from keras_kd.quantization import quantize_aware
from keras_kd.quantization import simulated_runtime
from keras_kd.quantization.litert_arithmetic import fixed_point
from keras_kd.quantization.litert_arithmetic import operators


def restated(count, factor):
    """Multiply by 31 bits, round halves up; divide, round halves from 0."""
    mantissa, exponent = math.frexp(factor)
    upper = (count << max(exponent, 0)) * math.floor(mantissa * 2**31 + 0.5)
    rounded = (upper + 2**30) // 2**31
    half = 2 ** max(-exponent, 0) / 2
    away = math.floor(abs(rounded) / (2 * half) + 0.5)
    return away if rounded > 0 else -away


@pytest.mark.parametrize("largest", [100, 144, 163, 255])
def test_absolute_values_at_halves_are_those_of_whole_numbers(largest):
    """A range of results that is a whole number of the inputs' steps."""
    step = np.float32(0.009028235)
    after = np.float32(largest * step / 255)
    counts = np.arange(largest + 1, dtype="float32")
    found = operators.absolute(-counts * step, step, after)
    wanted = [restated(int(count), float(step / after)) for count in counts]
    np.testing.assert_array_equal(np.rint(found / after), wanted)


def test_products_restated():
    generator = np.random.default_rng(0)
    counts = generator.integers(-(2**20), 2**20, (200, 7))
    factors = np.array([0.5, 1.5, 2**-9, *generator.uniform(1e-5, 1, 4)])
    found = fixed_point.multiplied(counts.astype("float32"), factors)
    expected = [
        [restated(int(count), float(factor)) for count, factor in pairs]
        for pairs in (zip(row, factors, strict=True) for row in counts)
    ]
    np.testing.assert_array_equal(found, expected)
    once = np.floor(counts * factors + 0.5)
    assert 0 < (once != expected).mean() < 0.05


def every_operator():
    """A student with each operator that the runtimes round differently."""
    inputs = keras.Input((12, 12, 4), name="image")
    x = layers.Conv2D(8, 3, activation="relu")(inputs)
    y = layers.BatchNormalization()(layers.DepthwiseConv2D(3)(x))
    x = layers.Conv2D(8, 3, activation="silu")(x)
    x = layers.Add()([x, y])
    x = layers.Subtract()([x, layers.Conv2D(8, 1)(y)])
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(8, 1, activation="hard_sigmoid")(gate)
    x = layers.Multiply()([x, gate])
    x = layers.Conv2DTranspose(4, 2, strides=2)(x)
    x = layers.GlobalAveragePooling2D()(layers.AveragePooling2D(2)(x))
    return keras.Model(inputs, layers.Dense(40)(x))


def images(student, count):
    shape = (count, *student.inputs[0].shape[1:])
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.fixture(scope="module")
def student():
    keras.utils.set_random_seed(0)
    return every_operator()


@pytest.mark.export
@pytest.mark.parametrize("runtime", ON_TFLITE[1:])
def test_a_student_computes_what_its_file_does(student, runtime, tmp_path):
    if runtime == "tflm":
        pytest.importorskip("tflite_micro")
    x = images(student, 100)
    model = fed(student, x, runtime=runtime)
    path = tmp_path / "student.tflite"
    check = export.tflite(model, path, "int8", verify=x, runtime=runtime)
    assert check.tolerance == 0.05
    gap, _ = steps_apart(model, path, x, runtime=runtime)
    assert gap.max() < 1e-3
    other, _ = steps_apart(model, path, x)
    assert (other > 0.5).mean() > 0.1


@pytest.mark.export
@pytest.mark.slow
@pytest.mark.parametrize("name", ["ds_cnn", "mobilenet_v2", "mobilenet_v3"])
def test_deep_students_on_a_microcontroller(name, tmp_path):
    pytest.importorskip("tflite_micro")
    keras.utils.set_random_seed(0)
    student = small(name)
    x = examples(student, 100)
    model = fed(student, x, 10, runtime="tflm")
    path = tmp_path / "student.tflite"
    export.tflite(model, path, "int8", verify=False, runtime="tflm")
    gap, _ = steps_apart(model, path, x, runtime="tflm")
    assert gap.max() < 1e-3
    # XNNPACK's kernels: up to 18 steps.
    other, _ = steps_apart(model, path, x)
    assert (other > 0.5).mean() > 0.25


def test_the_runtime_is_saved(student, tmp_path):
    model = quantize_aware(student, runtime="tflm")
    model.save(tmp_path / "student.keras")
    loaded = keras.models.load_model(tmp_path / "student.keras")
    assert simulated_runtime(loaded) == "tflm"
    assert simulated_runtime(quantize_aware(student)) == "litert"
    assert simulated_runtime(student) is None
    with pytest.raises(ValueError, match="Did you mean 'tflm'"):
        quantize_aware(student, runtime="tfml")
