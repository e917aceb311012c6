"""Sums, products and means that round as the runtime's kernels do.

The inputs are real values on grids. The results are real values that become the
file's results when the layer that follows rounds them to their grid. `runtime`
is `"litert"` for XNNPACK's kernels; the kernels of all others are those of
`fixed_point`.
"""

from typing import Any

from keras import ops

from keras_kd.quantization.litert_arithmetic import fixed_point
from keras_kd.quantization.litert_arithmetic.integers import LEVELS
from keras_kd.quantization.litert_arithmetic.integers import exponent
from keras_kd.quantization.litert_arithmetic.integers import rounding_to
from keras_kd.quantization.litert_arithmetic.integers import whole


def as_products(counts: Any, steps: Any, step: Any, runtime: str) -> Any:
    """Return the results of a convolution or a product.

    Args:
        counts: Integers.
        steps: Two factors whose product is the real value of a count of 1:
            steps of the inputs' grids, per channel or scalars.
        step: Step of the results' grid.
        runtime: Whose rounding it is.
    """
    unit = steps[0] * steps[1]
    if runtime == "litert":
        nearest = ops.round(counts * (unit / step))
    else:
        first, second, last = (
            ops.cast(one, "float64") for one in (*steps, step)
        )
        nearest = fixed_point.multiplied(counts, first * second / last)
    return rounding_to(counts * unit, nearest, step)


def product(inputs: Any, steps: Any, step: Any, runtime: str) -> Any:
    """Multiply two tensors.

    Args:
        inputs: The two tensors.
        steps: Steps of their grids.
        step: Step of the results' grid.
        runtime: Whose rounding it is.
    """
    first, second = (
        whole(value / own) for value, own in zip(inputs, steps, strict=True)
    )
    return as_products(first * second, steps, step, runtime)


def sum_of_two(inputs: Any, steps: Any, step: Any, runtime: str) -> Any:
    """Add two tensors, see `product`."""
    nearest = _sum_in_steps(inputs, steps, step, runtime)
    return rounding_to(inputs[0] + inputs[1], nearest, step)


def absolute(inputs: Any, step: Any, after: Any) -> Any:
    """Return absolute values, which all runtimes round alike.

    The kernel divides the steps in float32, `elementwise.cc` in
    tensorflow/lite/kernels. Often the results' range is a whole number of the
    inputs' steps: then many products are halves, but for the last bit.

    Args:
        inputs: The tensor.
        step: Step of the inputs' grid.
        after: Step of the results' grid.
    """
    counts = whole(ops.abs(inputs) / step)
    factor = ops.cast(step / after, "float64")
    nearest = fixed_point.multiplied(counts, factor)
    return rounding_to(ops.abs(inputs), nearest, after)


def _sum_in_steps(inputs: Any, steps: Any, step: Any, runtime: str) -> Any:
    """Return the sum of two tensors as a number of steps, in float32.

    XNNPACK's kernel `qs8-vadd` multiplies both tensors by factors of 20 bits
    and adds the products before it rounds.
    """
    if runtime != "litert":
        return fixed_point.sum_in_steps(inputs, steps, step)
    ratios = [own / step for own in steps]
    shift = 20 - exponent(ops.maximum(*ratios))
    total = ops.cast(2 ** (shift - 1), "int32")
    for value, own, ratio in zip(inputs, steps, ratios, strict=True):
        factor = ops.cast(ops.round(ratio * 2**shift), "int32")
        total = total + ops.cast(ops.round(value / own), "int32") * factor
    found = ops.right_shift(total, ops.cast(shift, "int32"))
    return ops.cast(found, "float32")


def mean_of_images(
    inputs: Any, grid: Any, results: Any, keepdims: bool, runtime: str
) -> Any:
    """Average over height and width.

    XNNPACK's kernel sums the stored integers, adds the zero point and rounds
    halves to even.

    Args:
        inputs: Images, channels last.
        grid: Step and zero point of the inputs.
        results: Step and zero point of the results.
        keepdims: Whether height and width stay, with size 1.
        runtime: Whose rounding it is.
    """
    (own, zero), (step, zero_after) = (
        (step, ops.cast(zero, "float32")) for step, zero in (grid, results)
    )
    height, width = ops.shape(inputs)[1:3]
    area = ops.cast(height * width, "float32")
    counts = ops.sum(whole(inputs / own), axis=(1, 2), keepdims=keepdims)
    if runtime != "litert":
        ratio = ops.cast(own, "float64") / ops.cast(step, "float64")
        nearest = fixed_point.mean_in_steps(counts, area, ratio)
        return rounding_to(counts * own / area, nearest, step)
    # The kernel rounds each of these in 32 bits.
    factor, zeros = (own / step) * (1 / area), area * zero
    stored = (counts + zeros) * factor - zeros * factor
    nearest = ops.round(stored + zero_after) - zero_after
    return rounding_to(counts * own / area, nearest, step)


def rounded_as_averages(inputs: Any, low: Any, high: Any) -> Any:
    """Move averages by a thousandth of a step away from the stored integer 0.

    LiteRT's average pooling divides sums of integers, which often gives
    halves, and rounds them away from the integer 0. `fake_quantize`, which
    rounds the result of this function, would round halves up.

    Args:
        inputs: Means of values on the grid of `low` and `high`.
        low: The lowest value of the grid.
        high: The highest.
    """
    scale = (high - low) / LEVELS
    # The integer 0 lies 128 steps above the lowest value.
    lowest = scale * ops.round(low / ops.maximum(scale, 1e-30))
    return inputs + 1e-3 * scale * ops.sign(inputs - lowest - 128 * scale)


def silu(inputs: Any, gate: Any, step: Any, after: Any, runtime: str) -> Any:
    """Multiply a tensor by its sigmoid, which a separate operator computes.

    Args:
        inputs: The tensor.
        gate: Its sigmoid, in multiples of 1/256.
        step: Step of the inputs' grid.
        after: Step of the results' grid.
        runtime: Whose rounding it is.
    """
    counts = whole(inputs / step) * whole(gate * 256)
    return as_products(counts, (step, 1 / 256), after, runtime)


def hard_sigmoid(inputs: Any, step: Any, after: Any, runtime: str) -> Any:
    """Add 3, clip to 0..6 and multiply by 1/6.

    The constants 3 and 1/6 are on grids, too.

    Args:
        inputs: The tensor.
        step: Step of the inputs' grid.
        after: Step of the results' grid.
        runtime: Whose rounding it is.
    """
    three, six, sixth = (
        ops.cast(high / LEVELS, "float32") for high in (3.0, 6.0, 1 / 6)
    )
    pair = (inputs, LEVELS * three)
    total = _sum_in_steps(pair, (step, three), six, runtime)
    inner = rounding_to(inputs + 3.0, total, six)
    counts = ops.clip(whole(inner / six), 0, LEVELS)
    return as_products(counts * LEVELS, (six, sixth), after, runtime)
