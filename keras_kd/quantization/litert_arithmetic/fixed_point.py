"""Products of integers as reference kernels and TFLite Micro round them.

A real factor becomes an integer of 31 bits and a power of 2, and the product
is rounded twice.
"""

from typing import Any

from keras import ops

from keras_kd.quantization.litert_arithmetic.integers import exponent
from keras_kd.quantization.litert_arithmetic.integers import shifted

# Bits by which sums are larger than their inputs, so that little is lost.
_HEADROOM = 20


def multiplied(counts: Any, factor: Any) -> Any:
    """Multiply integers by a factor and round, as integers.

    Reference:
        `QuantizeMultiplier` and `MultiplyByQuantizedMultiplier` in
        tensorflow/lite/kernels/internal/quantization_util.cc and common.cc.

    Args:
        counts: Integers of up to 31 bits, in any type.
        factor: float64, above 0; a scalar or one a channel.
    """
    return _product(counts, *_multiplier(factor))


def sum_in_steps(inputs: Any, steps: Any, step: Any) -> Any:
    """Return the sum of two tensors as a number of steps.

    Reference:
        `AddElementwise` in tensorflow/lite/kernels/internal/reference/add.h.

    Args:
        inputs: The two tensors, real values.
        steps: Steps of their grids.
        step: Step of the results' grid.
    """
    own = [ops.cast(one, "float64") for one in steps]
    twice = 2 * ops.maximum(*own)
    total: Any = 0
    for value, one in zip(inputs, own, strict=True):
        counts = ops.round(ops.cast(value, "float64") / one)
        total = total + multiplied(counts * 2**_HEADROOM, one / twice)
    step = ops.cast(step, "float64")
    return multiplied(total, twice / (2**_HEADROOM * step))


def mean_in_steps(sums: Any, number: Any, factor: Any) -> Any:
    """Divide sums of integers by their number, as a number of steps.

    Reference:
        `QuantizedMeanOrSum` in tensorflow/lite/kernels/internal/reference/
        reduce.h, which divides the factor, rounded down, and not the sum.

    Args:
        sums: Sums of integers.
        number: How many integers are in each sum.
        factor: Step of the inputs in steps of the results, float64.
    """
    factor, shift = _multiplier(factor)
    number = ops.cast(number, "int64")
    bits = ops.cast(exponent(ops.cast(number, "float64")), "int64")
    bits = ops.minimum(bits, ops.minimum(31 + shift, 32))
    factor = ops.floor_divide(ops.left_shift(factor, bits), number)
    return _product(sums, factor, shift - bits)


def _multiplier(factor: Any) -> tuple[Any, Any]:
    """Split a factor into an integer from 2**30 to 2**31 and an exponent."""
    shift = exponent(factor) + 1
    found = ops.floor(factor / 2**shift * 2.0**31 + 0.5)
    full = found >= 2.0**31
    found = ops.where(full, found / 2, found)
    shift = shift + ops.cast(full, shift.dtype)
    return ops.cast(found, "int64"), ops.cast(shift, "int64")


def _product(counts: Any, factor: Any, shift: Any) -> Any:
    """Return `counts * factor * 2**(shift - 31)`, rounded twice, in float32."""
    counts = ops.cast(counts, "int64")
    counts = ops.left_shift(counts, ops.maximum(shift, 0))
    upper = ops.right_shift(counts * factor + 2**30, 31)
    rounded = shifted(upper, ops.maximum(-shift, 0))
    return ops.cast(rounded, "float32")
