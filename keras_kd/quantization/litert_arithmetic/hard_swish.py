"""The hard swish in LiteRT's integer arithmetic."""

from typing import Any

from keras import ops

from keras_kd.quantization.litert_arithmetic.integers import LEVELS
from keras_kd.quantization.litert_arithmetic.integers import exponent
from keras_kd.quantization.litert_arithmetic.integers import shifted


def hard_swish_table(grid: Any, results: Any) -> Any:
    """Return the hard swish of all 256 values of a grid.

    Reference:
        `HardSwish` in tensorflow/lite/kernels/internal/reference/hard_swish.h
        and `HardSwishPrepare` in tensorflow/lite/kernels/activations.cc.

    Args:
        grid: Step of the inputs, and position of 0 on their grid, from 0.
        results: Step and position of 0 of the outputs.

    Returns:
        Real values `(256,)` on the grid of the outputs.
    """
    step, zero = grid
    high = (ops.arange(LEVELS + 1, dtype="int32") - zero) * 128
    factor, shift = _multiplier(step / 128 / results[0])
    value = _high_product(high, factor)
    gate_factor, gate_shift = _multiplier(step / 128 / (3 / 32768))
    # A shift of more than 15 would not fit into 32 bits; 15 saturates, too.
    early = ops.clip(gate_shift - 1, 0, 15)
    gate = _high_product(_saturated(ops.left_shift(high, early)), gate_factor)
    gate = ops.where(gate_shift > 0, _saturated(gate * 2), gate)
    gate = shifted(gate, ops.maximum(-gate_shift, 0))
    gate = ops.right_shift(gate + 32768, 1)
    product = _upper(gate * value)
    whole = shifted(product, ops.maximum(-shift, 0))
    place = ops.clip(whole + results[1], 0, LEVELS)
    return ops.cast(place - results[1], "float32") * results[0]


def _multiplier(real: Any) -> tuple[Any, Any]:
    """Split a factor into a 15-bit integer and an exponent."""
    shift = exponent(real) + 1
    factor = ops.minimum(ops.floor(real / 2**shift * 32768 + 0.5), 32767)
    return ops.cast(factor, "int32"), ops.cast(shift, "int32")


def _high_product(values: Any, factor: Any) -> Any:
    """Return the upper half of twice the product of 16-bit integers, rounded.

    Halves are rounded up, for negative numbers as well.
    """
    return ops.right_shift(values * factor + 16384, 15)


def _upper(values: Any) -> Any:
    """Divide by 2**15 and round towards 0."""
    return ops.sign(values) * ops.right_shift(ops.abs(values), 15)


def _saturated(values: Any) -> Any:
    """Clip to 16 bits."""
    return ops.clip(values, -32768, 32767)
