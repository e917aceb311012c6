"""Whole numbers held in float32, and real values that round to them."""

from typing import Any

from keras import ops

# Steps between the ends of int8.
LEVELS = 255


def whole(inputs: Any) -> Any:
    """Round to the nearest whole number; the gradient passes unchanged."""
    return inputs + ops.stop_gradient(ops.round(inputs) - inputs)


def exponent(real: Any) -> Any:
    """Return the largest whole `n` with `2**n <= real`, as float32."""
    found = ops.floor(ops.log2(real))
    # The logarithm may have been rounded to the next whole number.
    found = found - ops.where(2**found > real, 1.0, 0.0)
    return found + ops.where(2 ** (found + 1) <= real, 1.0, 0.0)


def rounding_to(results: Any, nearest: Any, step: Any) -> Any:
    """Move results by the hair that makes them round as the file's do.

    LiteRT multiplies whole numbers by factors of 20 or 24 bits, so that of
    100,000 results a few round to the value beside the nearest. In a deep
    student each of them decides over many others.

    Args:
        results: Real values.
        nearest: What each has to round to, in steps.
        step: Of the grid.
    """
    nearest = ops.stop_gradient(nearest)
    return ops.clip(results, (nearest - 0.499) * step, (nearest + 0.499) * step)
