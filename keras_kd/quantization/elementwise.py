"""Sums and products that round as LiteRT's fast kernels do."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers
from keras import ops

from keras_kd.quantization.arithmetic import exponent
from keras_kd.quantization.arithmetic import kernel_step
from keras_kd.quantization.arithmetic import rounding_to
from keras_kd.quantization.arithmetic import whole
from keras_kd.quantization.fake_quantize import FakeQuantize
from keras_kd.quantization.neighbours import RoundsAsFile


def as_products(counts: Any, unit: Any, after: FakeQuantize) -> Any:
    """Return real results of a convolution or a product.

    The file rounds `counts * (unit / step)`, in float32.

    Args:
        counts: Whole numbers.
        unit: What they count, of each channel or a scalar.
        after: What rounds the results.
    """
    step = after.divisor()
    results = counts * unit
    nearest = ops.round(counts * (unit / step))
    return ops.where(
        after.steps > 0, rounding_to(results, nearest, step), results
    )


def weighted_sum(
    linear: Callable[[Any, Any], Any],
    inputs: Any,
    kernel: Any,
    high: Any,
    bias: Any,
    grids: tuple[list[FakeQuantize], FakeQuantize],
) -> Any:
    """Return real results of a layer with 8-bit weights.

    Args:
        linear: Applies a kernel to inputs.
        inputs: Values on a grid.
        kernel: Whole numbers.
        high: Range of the kernel, 127 steps, of each channel or a scalar.
        bias: Real values, which the file stores in 32 bits.
        grids: What rounds the inputs, and the results.
    """
    (before,), after = grids
    seen = before.steps > 0
    # Sums of whole numbers, which 24 bits hold, are exact in any order.
    step = before.divisor()
    unit = step * kernel_step(high)
    sums = linear(ops.where(seen, whole(inputs / step), inputs), kernel)
    counts = bias_in_steps(bias, high, before)
    sums = sums + ops.where(seen, counts, bias / unit)
    return as_products(sums, unit, after)


def bias_in_steps(bias: Any, high: Any, before: FakeQuantize) -> Any:
    """Return the whole numbers that a file stores for biases.

    Their step is that of the inputs times that of the weights. The converter
    divides in 64 bits; in 32 a bias at half a step may become the number
    beside.

    Args:
        bias: Real values.
        high: Range of the weights, 127 steps.
        before: What rounded the inputs.
    """
    unit = before.divisor("float64") * kernel_step(high, "float64")
    return ops.cast(whole(ops.cast(bias, "float64") / unit), "float32")


def sum_in_steps(inputs: Any, steps: Any, step: Any) -> Any:
    """Return the sum of two tensors as the kernel rounds it.

    It multiplies both by factors of 20 bits and adds before it rounds,
    `qs8-vadd` in XNNPACK.

    Args:
        inputs: Two tensors on grids.
        steps: Of the two grids.
        step: Of the grid of the sum.

    Returns:
        Float32, whole numbers of `step`.
    """
    ratios = [own / step for own in steps]
    shift = 20 - exponent(ops.maximum(*ratios))
    total = ops.cast(2 ** (shift - 1), "int32")
    for value, own, ratio in zip(inputs, steps, ratios, strict=True):
        factor = ops.cast(ops.round(ratio * 2**shift), "int32")
        total = total + ops.cast(ops.round(value / own), "int32") * factor
    found = ops.right_shift(total, ops.cast(shift, "int32"))
    return ops.cast(found, "float32")


class _Pairwise(RoundsAsFile):
    """Mixin for a layer of two inputs."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Compute, in inference as the file does where no axis is added.

        Args:
            inputs: Two tensors on grids.
            training: Whether the student is trained.
        """
        ranks = {len(value.shape) for value in inputs}
        return super().call(inputs, training or len(ranks) > 1)


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedMultiply(_Pairwise, layers.Multiply):
    """`Multiply` of two inputs in 8 bits."""

    def in_steps(self, inputs: Any, before: Any, after: FakeQuantize) -> Any:
        """Multiply whole numbers."""
        steps = [grid.divisor() for grid in before]
        first, second = (
            whole(value / step)
            for value, step in zip(inputs, steps, strict=True)
        )
        return as_products(first * second, steps[0] * steps[1], after)


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedAdd(_Pairwise, layers.Add):
    """`Add` of two inputs in 8 bits."""

    def in_steps(self, inputs: Any, before: Any, after: FakeQuantize) -> Any:
        """Add multiples of whole numbers."""
        step = after.divisor()
        steps = [grid.divisor() for grid in before]
        nearest = sum_in_steps(inputs, steps, step)
        return rounding_to(inputs[0] + inputs[1], nearest, step)


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedGlobalAveragePooling2D(
    RoundsAsFile, layers.GlobalAveragePooling2D
):
    """`GlobalAveragePooling2D` in 8 bits."""

    def in_steps(self, inputs: Any, before: Any, after: FakeQuantize) -> Any:
        """Sum the stored numbers, and round to even with the zero point."""
        own, step = before[0].divisor(), after.divisor()
        height, width = ops.shape(inputs)[1:3]
        area = ops.cast(height * width, "float32")
        zero, zero_after = (
            ops.cast(grid.zero_point(), "float32") for grid in (*before, after)
        )
        counts = ops.sum(
            whole(inputs / own), axis=(1, 2), keepdims=self.keepdims
        )
        # The kernel rounds each of these in 32 bits.
        factor, zeros = (own / step) * (1 / area), area * zero
        stored = (counts + zeros) * factor - zeros * factor
        nearest = ops.round(stored + zero_after) - zero_after
        return rounding_to(counts * own / area, nearest, step)


PAIRWISE = {"Add": QuantizedAdd, "Multiply": QuantizedMultiply}
