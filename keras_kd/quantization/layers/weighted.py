"""The mixin of convolutions and dense layers with 8-bit weights."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_kd.quantization.layers.fake_quantize import FakeQuantize
from keras_kd.quantization.layers.fake_quantize import step_counter
from keras_kd.quantization.layers.neighbours import input_quantizers
from keras_kd.quantization.layers.neighbours import known_grids
from keras_kd.quantization.layers.rounding import kernel_range
from keras_kd.quantization.layers.rounding import quantize_kernel
from keras_kd.quantization.litert_arithmetic.integers import whole
from keras_kd.quantization.litert_arithmetic.operators import as_products
from keras_kd.quantization.litert_arithmetic.stored import bias_in_steps
from keras_kd.quantization.litert_arithmetic.stored import kernel_step


class QuantizedKernel(keras.Layer):
    """Mixin for a Keras layer with a `kernel` and a `bias`.

    In inference the layer computes `activation(linear(x, q(w * g)) + b')`, as
    the file does. `q` rounds to 8 bits, and the batch normalization that
    follows is folded in: `g = gamma / sqrt(variance + epsilon)`, `b' = beta +
    (b - mean) * g`. In training the normalization uses the statistics of the
    batch and keeps updating its moving statistics.

    If each channel is rounded relative to its own largest weight, rounding
    commutes with a factor per channel: `q(w * g) = q(w) * g`. The layer then
    trains on `norm(linear(x, q(w)))`, which is exactly the folded layer under
    the batch's statistics and takes one convolution. One step for the whole
    kernel does not commute. In that case the layer trains on `norm(linear(x,
    w)) + linear(x, q(w * g) - w * g)`: it adds the rounding error of the
    folded kernel to the unrounded layer, at the price of a second
    convolution.

    Reference:
        Krishnamoorthi 2018, arXiv:1806.08342, section 3.2.2. The aim is the
        same: statistics of the batch, on a grid that does not jump with
        them. The paper scales the kernel by `sigma_batch / sigma` before
        rounding and scales the result back, which cancels out per channel.

    Args:
        norm: `BatchNormalization` to fold in, or its config, or None.
        per_channel: Whether each output channel has a step of its own.
        delay: Number of training steps before weights are rounded in
            training.
        **kwargs: Arguments of the Keras layer.
    """

    can_be_per_channel = True

    def __init__(
        self,
        *args: Any,
        norm: Any = None,
        per_channel: bool = True,
        delay: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(norm, dict):
            norm = keras.saving.deserialize_keras_object(norm)
        self.norm = norm
        self.per_channel = per_channel and self.can_be_per_channel
        self.delay = delay
        self._fixed: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def build(self, input_shape: Any) -> None:
        """Make the weights of the layer and of its normalization."""
        super().build(input_shape)
        # A normalization that was loaded from a file is built already.
        if self.norm is not None and not self.norm.built:
            self.norm.build(self.compute_output_shape(input_shape))
        if self.delay:
            self.steps = step_counter(self)

    def call(
        self, inputs: Any, training: bool | None = None, number: int = 0
    ) -> Any:
        """Compute with rounded weights.

        Args:
            inputs: Inputs of the Keras layer.
            training: Whether the normalization uses the batch.
            number: Which of the layer's calls this is, from 0.
        """
        if self._fixed is not None:
            kernel, high, bias = self._fixed
            high = self._of_call(high, number)
            return self.in_file(inputs, kernel, high, bias)
        if not training:
            outputs = self._inferred(inputs, number)
        elif self.norm is not None and self.norm.trainable:
            outputs = self._normalized(inputs)
        else:
            kernel, bias = self.folded()
            outputs = self.linear(inputs, self._delayed(kernel)) + bias
        if training and self.delay:
            self.steps.assign_add(1)
        return self.activated(outputs)

    def linear(self, inputs: Any, kernel: Any) -> Any:
        """Apply a kernel, without bias and activation."""
        raise NotImplementedError

    def rounding(self, runtime: str) -> str:
        """Return the runtime whose rounding this layer has under another."""
        return runtime

    def in_file(self, inputs: Any, kernel: Any, high: Any, bias: Any) -> Any:
        """Compute with constants, in a form that the converter understands.

        Args:
            inputs: Inputs of the Keras layer.
            kernel: Weights, not rounded yet.
            high: Range of the weights, see `kernel_range`.
            bias: One number per channel.
        """
        outputs = self.linear(inputs, self.quantized(kernel, high)) + bias
        return self.activated(outputs)

    def activated(self, outputs: Any) -> Any:
        """Apply the activation."""
        return outputs if self.activation is None else self.activation(outputs)

    def channels_last(self, kernel: Any) -> Any:
        """Return a kernel with all its output channels on the last axis."""
        return kernel

    def restored(self, kernel: Any) -> Any:
        """Undo `channels_last`."""
        return kernel

    def quantized(self, kernel: Any, high: Any) -> Any:
        """Round a kernel to 8 bits.

        Args:
            kernel: Weights in the Keras layer's order.
            high: Range of the weights, see `kernel_range`.
        """
        # One step for the whole kernel needs no particular axis order, and the
        # file then has no transposition.
        if not self.per_channel:
            return quantize_kernel(kernel, high)
        flat = self.channels_last(kernel)
        return self.restored(quantize_kernel(flat, high))

    def folded(self) -> tuple[Any, Any]:
        """Return the kernel and the bias with the normalization folded in."""
        bias = 0.0 if self.bias is None else self.bias
        if self.norm is None:
            return self.kernel, bias
        factor, offset = scale_and_offset(self.norm)
        return self._scaled(factor), bias * factor + offset

    def fix(self) -> None:
        """Compute with the constants of the file until `release`."""
        kernel, bias = self.folded()
        high = self._range(kernel)
        channels = self.channels_last(kernel).shape[-1:]
        bias = ops.broadcast_to(ops.cast(bias, "float32"), channels)
        self._fixed = tuple(map(ops.convert_to_numpy, (kernel, high, bias)))

    def release(self) -> None:
        """Undo `fix`."""
        self._fixed = None

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        norm = self.norm
        if norm is not None:
            norm = keras.saving.serialize_keras_object(norm)
        return {
            **super().get_config(),
            "norm": norm,
            "per_channel": self.per_channel,
            "delay": self.delay,
        }

    def _inferred(self, inputs: Any, number: int) -> Any:
        """Compute like the file."""
        kernel, bias = self.folded()
        high = self._of_call(self._range(kernel), number)
        kernel = self.quantized(kernel, high)
        grids = known_grids(self, number)
        if grids is None:
            bias = rounded_bias(self, high, bias, number)
            return self.linear(inputs, kernel) + bias
        counts = whole(self._divided(kernel, kernel_step(high)))
        runtime = self.rounding(grids[1].runtime)
        return weighted_sum(
            self.linear, inputs, counts, high, bias, grids, runtime
        )

    def _normalized(self, inputs: Any) -> Any:
        """Compute with the batch's statistics, see the class docstring."""
        bias = 0.0 if self.bias is None else self.bias
        if self.per_channel:
            kernel = self._delayed(ops.convert_to_tensor(self.kernel))
            return self.norm(self.linear(inputs, kernel) + bias, training=True)
        folded = ops.stop_gradient(self.folded()[0])
        error = self.linear(inputs, self._delayed(folded) - folded)
        outputs = self.linear(inputs, self.kernel) + bias
        return self.norm(outputs, training=True) + error

    def _delayed(self, kernel: Any) -> Any:
        """Round a kernel in training, once the delay is over."""
        rounded = self.quantized(kernel, self._range(kernel))
        if not self.delay:
            return rounded
        return ops.where(self.steps >= self.delay, rounded, kernel)

    def _range(self, kernel: Any) -> Any:
        return kernel_range(self.channels_last(kernel), self.per_channel)

    def _of_call(self, high: Any, number: int) -> Any:
        """Return the range of the weights, slightly larger in later calls.

        The converter would take the same range in two calls for one tensor
        with two users, and then choose a range per channel itself.
        """
        return high if self.per_channel else high * (1 + number * 2.0**-22)

    def _divided(self, kernel: Any, factor: Any) -> Any:
        """Return a kernel divided by one factor per output channel."""
        return self.restored(self.channels_last(kernel) / factor)

    def _scaled(self, factor: Any) -> Any:
        """Return the kernel times one factor per output channel."""
        return self.restored(self.channels_last(self.kernel) * factor)


def weighted_sum(
    linear: Callable[[Any, Any], Any],
    inputs: Any,
    kernel: Any,
    high: Any,
    bias: Any,
    grids: tuple[list[FakeQuantize], FakeQuantize],
    runtime: str,
) -> Any:
    """Return the results of a layer with 8-bit weights, as real values.

    Args:
        linear: Function that applies a kernel to inputs.
        inputs: Values on a grid.
        kernel: Integers.
        high: Range of the kernel (127 steps), per channel or a scalar.
        bias: Real values, which the file stores in 32 bits.
        grids: The layers that round the inputs and the results.
        runtime: Whose rounding it is.
    """
    (before,), after = grids
    seen = before.steps > 0
    # float32 holds integers of 24 bits, so these sums are exact in any order.
    step = before.divisor()
    steps = step, kernel_step(high)
    unit = steps[0] * steps[1]
    sums = linear(ops.where(seen, whole(inputs / step), inputs), kernel)
    counts = bias_in_steps(bias, high, before.divisor("float64"))
    sums = sums + ops.where(seen, counts, bias / unit)
    results = as_products(sums, steps, after.divisor(), runtime)
    return ops.where(after.steps > 0, results, sums * unit)


def rounded_bias(
    layer: keras.Layer, high: Any, bias: Any, number: int = 0
) -> Any:
    """Round biases to 32 bits, as files store them.

    The rounding error is tiny, but it changes one result in thousands by a
    step of the outputs, and with it many results in the layers that follow.

    Args:
        layer: Layer that adds the bias.
        high: Range of the weights (127 steps).
        bias: Real values.
        number: Which of the layer's calls this is.
    """
    before = input_quantizers(layer, number)[0]
    if before is None:
        return bias
    rounded = bias_in_steps(bias, high, before.divisor("float64"))
    unit = before.divisor() * kernel_step(high)
    return ops.where(before.steps > 0, rounded * unit, bias)


def scale_and_offset(norm: Any) -> tuple[Any, Any]:
    """Return the factor and the offset that a `BatchNormalization` applies.

    Args:
        norm: The layer, built.

    Returns:
        Two tensors `(channels,)`, from the moving statistics.
    """
    factor = ops.rsqrt(norm.moving_variance + norm.epsilon)
    if norm.scale:
        factor = factor * norm.gamma
    offset = -norm.moving_mean * factor
    return factor, offset + norm.beta if norm.center else offset
