"""Sums and products that round as LiteRT's fast kernels do."""

from typing import Any

import keras
from keras import layers
from keras import ops

from keras_kd.quantization.arithmetic import exponent
from keras_kd.quantization.arithmetic import rounding_to
from keras_kd.quantization.arithmetic import whole
from keras_kd.quantization.fake_quantize import FakeQuantize
from keras_kd.quantization.neighbours import PlainInFile
from keras_kd.quantization.neighbours import input_quantizers
from keras_kd.quantization.neighbours import output_quantizer


def as_products(counts: Any, unit: Any, after: FakeQuantize) -> Any:
    """Return real results of a convolution or a product.

    The file rounds `counts * (unit / step)`, in float32.

    Args:
        counts: Whole numbers.
        unit: What they count, of each channel or a scalar.
        after: What rounds the results.
    """
    step = ops.maximum(after.grid_step(), 1e-30)
    results = counts * unit
    nearest = ops.round(counts * (unit / step))
    return ops.where(
        after.steps > 0, rounding_to(results, nearest, step), results
    )


class _Pairwise(PlainInFile):
    """Mixin for a layer of two inputs, each on a grid."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Compute, in inference as the file does.

        Args:
            inputs: Two tensors on grids.
            training: Whether the student is trained.
        """
        results = super().call(inputs)
        found = input_quantizers(self)
        before = [grid for grid in found if grid is not None]
        after = output_quantizer(self)
        if training or self.is_plain or after is None or len(before) != 2:
            return results
        if len({len(value.shape) for value in inputs}) > 1:
            return results
        steps = [ops.maximum(grid.grid_step(), 1e-30) for grid in before]
        known = after.steps > 0
        for grid in before:
            known = ops.logical_and(known, grid.steps > 0)
        exact = self.in_steps(inputs, steps, after)
        return ops.where(known, exact, results)

    def in_steps(self, inputs: Any, steps: Any, after: FakeQuantize) -> Any:
        """Compute from whole numbers.

        Args:
            inputs: Two tensors on grids.
            steps: Of the grids.
            after: What rounds the results.
        """
        raise NotImplementedError


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedMultiply(_Pairwise, layers.Multiply):
    """`Multiply` of two inputs in 8 bits."""

    def in_steps(self, inputs: Any, steps: Any, after: FakeQuantize) -> Any:
        """Multiply whole numbers."""
        first, second = (
            whole(value / step)
            for value, step in zip(inputs, steps, strict=True)
        )
        return as_products(first * second, steps[0] * steps[1], after)


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedAdd(_Pairwise, layers.Add):
    """`Add` of two inputs in 8 bits.

    The kernel multiplies both by factors of 20 bits and adds before it
    rounds, `qs8-vadd` in XNNPACK.
    """

    def in_steps(self, inputs: Any, steps: Any, after: FakeQuantize) -> Any:
        """Add multiples of whole numbers."""
        step = ops.maximum(after.grid_step(), 1e-30)
        ratios = [own / step for own in steps]
        shift = 20 - exponent(ops.maximum(*ratios))
        total = ops.cast(2 ** (shift - 1), "int32")
        for value, own, ratio in zip(inputs, steps, ratios, strict=True):
            factor = ops.cast(ops.round(ratio * 2**shift), "int32")
            total = total + ops.cast(ops.round(value / own), "int32") * factor
        nearest = ops.right_shift(total, ops.cast(shift, "int32"))
        results = inputs[0] + inputs[1]
        return rounding_to(results, ops.cast(nearest, "float32"), step)


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedGlobalAveragePooling2D(
    PlainInFile, layers.GlobalAveragePooling2D
):
    """`GlobalAveragePooling2D` in 8 bits."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Average, in inference as the file does.

        Args:
            inputs: Values on a grid.
            training: Whether the student is trained.
        """
        results = super().call(inputs)
        before, after = input_quantizers(self)[0], output_quantizer(self)
        if training or self.is_plain or before is None or after is None:
            return results
        step = ops.maximum(before.grid_step(), 1e-30)
        height, width = ops.shape(inputs)[1:3]
        area = ops.cast(height * width, "float32")
        counts = ops.sum(
            whole(inputs / step), axis=(1, 2), keepdims=self.keepdims
        )
        found = as_products(counts, step / area, after)
        return ops.where(before.steps > 0, found, results)


PAIRWISE = {"Add": QuantizedAdd, "Multiply": QuantizedMultiply}
