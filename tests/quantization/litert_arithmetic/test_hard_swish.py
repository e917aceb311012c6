"""The hard swish of the simulation against the one of LiteRT."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_kd import export
from keras_kd.evaluation.litert import LiteRTModel
from keras_kd.quantization import quantize_aware
from keras_kd.quantization.litert_arithmetic.hard_swish import hard_swish_table

# Of inputs and of their hard swish.
RANGES = {
    "small": ((-0.4, 0.3), (-0.03, 0.15)),
    "usual": ((-4.1, 5.3), (-0.375, 5.3)),
    "large": ((-60.0, 41.7), (-0.375, 41.0)),
    "clipped": ((0.0, 9.0), (-0.3, 4.0)),
    # A student's: here two values hang on how numbers below 0 are rounded.
    "trained": ((-6.95676, 6.28185), (-0.38593, 6.17484)),
}


def values(low, high):
    """All 256 values of a grid."""
    step = (high - low) / 255
    return ((np.arange(256) - np.round(-low / step)) * step).astype("float32")


@pytest.fixture(scope="module")
def model():
    inputs = [keras.Input((256,), name=name) for name in RANGES]
    swish = [layers.Activation("hard_swish")(x) for x in inputs]
    model = quantize_aware(keras.Model(inputs, swish))
    for tensor, name in zip(model.outputs, RANGES, strict=True):
        after = tensor._keras_history.operation
        before = model.get_layer(f"{name}_quantized")
        for layer, limits in zip((before, after), RANGES[name], strict=True):
            for variable, value in zip(
                (layer.low, layer.high, layer.steps), (*limits, 1), strict=True
            ):
                variable.assign(value)
    return model


@pytest.mark.slow
@pytest.mark.export
def test_every_value_is_the_file_s(model, tmp_path):
    path = tmp_path / "swish.tflite"
    export.tflite(model, path, "int8", verify=False)
    file = LiteRTModel(path)
    assert file.operators.count("HARD_SWISH") == len(RANGES)
    x = {name: values(*limits[0])[None] for name, limits in RANGES.items()}
    found = file.predict(x)
    expected = [np.asarray(value) for value in model(x)]
    steps = {detail.name: detail.scale for detail in file.output_details}
    for place, (name, value) in enumerate(zip(RANGES, expected, strict=True)):
        output = f"output_{place}"
        gap = np.abs(found[output] - value) / steps[output]
        assert gap.max() < 0.01, name


def test_it_is_near_the_function_and_has_its_gradient(model):
    import tensorflow as tf

    (low, high), (low_out, high_out) = RANGES["usual"]
    x = values(low, high)
    step = (high_out - low_out) / 255
    table = hard_swish_table(
        (
            np.float32((high - low) / 255),
            int(np.round(-low / (high - low) * 255)),
        ),
        (np.float32(step), int(np.round(-low_out / step))),
    )
    exact = x * np.clip(x + 3, 0, 6) / 6
    gap = np.abs(table - exact) / step
    assert 0.5 < gap.max() < 1.1
    assert (gap > 0.51).mean() < 0.1
    inputs = {name: tf.constant(x[None]) for name in RANGES}
    with tf.GradientTape() as tape:
        tape.watch(inputs["usual"])
        outputs = model(inputs, training=False)[list(RANGES).index("usual")]
    slope = np.where(x < -3, 0, np.where(x > 3, 1, (2 * x + 3) / 6))
    found = tape.gradient(outputs, inputs["usual"])[0]
    # Nor at the end of the outputs' grid, where rounding clips.
    inside = (np.abs(np.abs(x) - 3) > 0.05) & (x < high_out - step)
    np.testing.assert_allclose(found[inside], slope[inside], atol=1e-5)
