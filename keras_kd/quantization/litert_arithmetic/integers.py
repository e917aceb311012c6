"""Integers held in float32, and real values that round to them."""

from typing import Any

from keras import ops

# Steps between the ends of int8.
LEVELS = 255


def whole(inputs: Any) -> Any:
    """Round to the nearest integer; the gradient passes unchanged."""
    return inputs + ops.stop_gradient(ops.round(inputs) - inputs)


def exponent(real: Any) -> Any:
    """Return the largest integer `n` with `2**n <= real`, in its type."""
    found = ops.floor(ops.log2(real))
    # The logarithm may have been rounded up or down to an integer.
    found = found - ops.cast(2**found > real, found.dtype)
    return found + ops.cast(2 ** (found + 1) <= real, found.dtype)


def shifted(values: Any, shift: Any) -> Any:
    """Divide integers by a power of 2 and round halves away from 0."""
    mask = ops.left_shift(ops.ones_like(shift), shift) - 1
    rest = ops.bitwise_and(values, mask)
    half = ops.right_shift(mask, 1) + ops.cast(values < 0, mask.dtype)
    return ops.right_shift(values, shift) + ops.cast(rest > half, mask.dtype)


def rounding_to(results: Any, nearest: Any, step: Any) -> Any:
    """Move results slightly, so that they round to the file's results.

    LiteRT multiplies integers by factors of 20 or 24 bits, so that a few of
    100,000 results do not round to the nearest value. In a deep student, each
    of them changes many other results.

    Args:
        results: Real values.
        nearest: The integer that each result has to round to, in steps.
        step: Step of the grid.
    """
    nearest = ops.stop_gradient(nearest)
    return ops.clip(results, (nearest - 0.499) * step, (nearest + 0.499) * step)
