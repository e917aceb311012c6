"""What the converter stores: steps, zero points, biases.

It divides in 64 bits and rounds the quotient to 32. TensorFlow, asked to divide
by a constant in 32 bits, multiplies by its reciprocal, which gives another
number.
"""

from typing import Any

from keras import ops

from keras_kd.quantization.litert_arithmetic.integers import LEVELS
from keras_kd.quantization.litert_arithmetic.integers import whole


def grid_step(low: Any, high: Any, dtype: str = "float32") -> Any:
    """Return the step of a grid of 256 values.

    Args:
        low: The lowest value.
        high: The highest.
        dtype: Of the result.
    """
    low, high = (ops.cast(limit, "float64") for limit in (low, high))
    return ops.cast((high - low) / LEVELS, dtype)


def zero_point(low: Any, step: Any) -> Any:
    """Return the whole number that stands for 0, of -128 to 127.

    Args:
        low: The lowest value of the grid.
        step: Its step.
    """
    return ops.cast(ops.floor(0.5 - low / step), "int32") - 128


def kernel_step(high: Any, dtype: str = "float32") -> Any:
    """Return the step of a kernel's grid: 127 are its largest weight.

    Args:
        high: Largest absolute weight, of each channel or a scalar.
        dtype: Of the result.
    """
    return ops.cast(ops.cast(high, "float64") / 127, dtype)


def bias_in_steps(bias: Any, high: Any, step: Any) -> Any:
    """Return the whole numbers that a file stores for biases.

    Their step is that of the inputs times that of the weights. In 32 bits a
    bias at half a step may become the number beside.

    Args:
        bias: Real values.
        high: See `kernel_step`.
        step: Of the inputs, in 64 bits.
    """
    unit = step * kernel_step(high, "float64")
    return ops.cast(whole(ops.cast(bias, "float64") / unit), "float32")
