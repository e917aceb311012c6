"""Activations that int8 computes in several operators."""

from typing import Any

import keras
from keras import layers
from keras import ops

from keras_kd.quantization.activations import ABOVE_0
from keras_kd.quantization.activations import activation_of
from keras_kd.quantization.arithmetic import LEVELS
from keras_kd.quantization.arithmetic import fake_quantize
from keras_kd.quantization.arithmetic import rounding_to
from keras_kd.quantization.arithmetic import whole
from keras_kd.quantization.elementwise import as_products
from keras_kd.quantization.elementwise import sum_in_steps
from keras_kd.quantization.fake_quantize import FakeQuantize
from keras_kd.quantization.neighbours import RoundsAsFile


class _Composed(layers.Activation):
    """An activation with its inner steps rounded."""

    def call(self, inputs: Any) -> Any:
        """Compute in the operators that int8 has."""
        if activation_of(self) == "silu":
            return inputs * _sigmoid(inputs)
        # Constants too have to be on a grid.
        three = fake_quantize(ops.full((1,), 3.0), 0.0, 3.0)
        sixth = fake_quantize(ops.full((1,), 1 / 6), 0.0, 1 / 6)
        return fake_quantize(ops.relu6(inputs + three), 0.0, 6.0) * sixth


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedActivation(RoundsAsFile, _Composed):
    """An activation of several operators in 8 bits.

    Args:
        activation: `"silu"` or `"hard_sigmoid"`.
        **kwargs: Of `keras.Layer`.
    """

    def in_steps(self, inputs: Any, before: Any, after: FakeQuantize) -> Any:
        """Compute each operator from whole numbers."""
        step = before[0].divisor()
        if activation_of(self) == "silu":
            counts = whole(inputs / step) * whole(_sigmoid(inputs) * 256)
            return as_products(counts, step / 256, after)
        three, six, sixth = (
            ops.cast(high / LEVELS, "float32") for high in (3.0, 6.0, 1 / 6)
        )
        total = sum_in_steps((inputs, LEVELS * three), (step, three), six)
        inner = rounding_to(inputs + 3.0, total, six)
        counts = ops.clip(whole(inner / six), 0, LEVELS)
        return as_products(counts * LEVELS, six * sixth, after)


def _sigmoid(inputs: Any) -> Any:
    return fake_quantize(ops.sigmoid(inputs), *ABOVE_0)
