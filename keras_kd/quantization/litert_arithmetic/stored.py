"""Steps, zero points and biases as the converter stores them.

The converter divides in 64 bits and rounds the quotient to 32. These functions
do the same, because TensorFlow turns a 32-bit division by a constant into a
multiplication by its reciprocal, which may give another number.
"""

from typing import Any

from keras import ops

from keras_kd.quantization.litert_arithmetic.integers import LEVELS
from keras_kd.quantization.litert_arithmetic.integers import whole


def grid_step(low: Any, high: Any, dtype: str = "float32") -> Any:
    """Return the step of a grid of 256 values.

    Args:
        low: The lowest value.
        high: The highest value.
        dtype: Type of the result.
    """
    low, high = (ops.cast(limit, "float64") for limit in (low, high))
    return ops.cast((high - low) / LEVELS, dtype)


def zero_point(low: Any, step: Any) -> Any:
    """Return the integer from -128 to 127 that stands for 0.

    Args:
        low: The lowest value of the grid.
        step: Step of the grid.
    """
    return ops.cast(ops.floor(0.5 - low / step), "int32") - 128


def kernel_step(high: Any, dtype: str = "float32") -> Any:
    """Return the step of a kernel's grid: the largest weight is 127 steps.

    Args:
        high: Largest absolute weight, per channel or a scalar.
        dtype: Type of the result.
    """
    return ops.cast(ops.cast(high, "float64") / 127, dtype)


def bias_in_steps(bias: Any, high: Any, step: Any) -> Any:
    """Return the integers that a file stores for biases.

    The step of a bias is the step of the inputs times that of the weights. The
    quotient is computed in 64 bits: in 32 bits, a bias near half a step might
    be rounded to the wrong integer.

    Args:
        bias: Real values.
        high: See `kernel_step`.
        step: Step of the inputs, in 64 bits.
    """
    unit = step * kernel_step(high, "float64")
    return ops.cast(whole(ops.cast(bias, "float64") / unit), "float32")
