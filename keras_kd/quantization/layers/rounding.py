"""Functions that round values and weights to 8 bits, with a gradient."""

from typing import Any

import keras
from keras import ops

# Smallest range of weights: a step of 0 cannot be stored.
LEAST_RANGE = 1e-12
# Smallest range of a channel, as a share of the kernel's largest weight. A
# channel of near-zero weights would get such a small step that its bias, which
# the device stores as a multiple of that step, no longer fits into 32 bits.
_LEAST_SHARE = 1e-4


def fake_quantize(inputs: Any, low: Any, high: Any) -> Any:
    """Round to 256 values between `low` and `high`, one of which is 0.

    As in the device's int8, `scale = (high - low) / 255`, the zero point is
    the nearest integer, and values outside the range are clipped. The
    gradient passes inside the range and is 0 outside.

    Args:
        inputs: Real values, float32.
        low: Scalar, at most 0.
        high: Scalar, at least 0.

    Returns:
        Values of the same shape.
    """
    return keras.quantizers.fake_quant_with_min_max_vars(inputs, low, high)


def rounded_as_data(inputs: Any, step: Any) -> Any:
    """Round as the caller of a file does: halves to even, in 64 bits.

    The pixels of images scaled from 0..255 to -1..1 all lie halfway between
    two steps, so that any other way of rounding would be a step off.

    Args:
        inputs: Real values.
        step: Step of the grid.

    Returns:
        Values of the same shape; the gradient passes unchanged.
    """
    values, divisor = (ops.cast(value, "float64") for value in (inputs, step))
    nearest = ops.cast(ops.round(values / divisor), "float32") * step
    return inputs + ops.stop_gradient(nearest - inputs)


def quantize_kernel(kernel: Any, high: Any) -> Any:
    """Round weights to `-127 ... 127` times a step, as files store them.

    Args:
        kernel: Weights, with the output channels on the last axis.
        high: Largest absolute weight (127 steps), per channel or a scalar.

    Returns:
        Weights of the same shape; the gradient passes unchanged.
    """
    return keras.quantizers.fake_quant_with_min_max_vars(
        kernel,
        -high,
        high,
        narrow_range=True,
        axis=-1 if len(high.shape) else None,
    )


def kernel_range(kernel: Any, per_channel: bool) -> Any:
    """Return the largest absolute weight, per channel (last axis) or of all."""
    size = ops.stop_gradient(ops.abs(kernel))
    largest = ops.maximum(ops.max(size), LEAST_RANGE)
    if not per_channel:
        return largest
    axes = tuple(range(len(kernel.shape) - 1))
    return ops.maximum(ops.max(size, axis=axes), _LEAST_SHARE * largest)


def learned_step(inputs: Any, step: Any, lowest: int, highest: int) -> Any:
    """Quantize with a step that has a gradient.

    Formula:
        `s * round(clip(v / s, lowest, highest))`, with `d round(x) / dx = 1`:
        the gradient of `s` is `round(v / s) - v / s` inside the limits, and
        `lowest` or `highest` outside; both times `1 / sqrt(n * highest)`,
        where `n` is the number of values in one example.

    Reference:
        Esser et al. 2020, arXiv:1902.08153, equations 1 to 5 and section 2.2.

    Args:
        inputs: Real values `(batch, ...)`, float32.
        step: Scalar above 0.
        lowest: Smallest integer, 0 or below.
        highest: Largest integer.

    Returns:
        Values of the same shape.
    """
    count = ops.cast(ops.size(inputs[:1]), "float32")
    share = 1 / ops.sqrt(count * highest)
    step = share * step + ops.stop_gradient((1 - share) * step)
    scaled = ops.clip(inputs / step, lowest, highest)
    # Rounds halves up, as `fake_quantize` does.
    whole = scaled + ops.stop_gradient(ops.floor(scaled + 0.5) - scaled)
    return whole * step
