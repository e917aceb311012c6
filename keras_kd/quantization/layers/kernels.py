"""The Keras layers whose weights can be stored in 8 bits."""

from typing import Any

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_kd.core.keras_internals import causal_padding
from keras_kd.quantization.layers.rounding import kernel_range
from keras_kd.quantization.layers.rounding import quantize_kernel
from keras_kd.quantization.layers.weighted import QuantizedKernel


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedDense(QuantizedKernel, layers.Dense):
    """`Dense` with 8-bit weights and one step for the whole kernel.

    The converter rejects per-channel steps for the kernels of `MatMul`.
    """

    can_be_per_channel = False

    def linear(self, inputs: Any, kernel: Any) -> Any:
        """Multiply the last axis by the kernel."""
        return ops.matmul(inputs, kernel)

    def rounding(self, runtime: str) -> str:
        """Return the runtime: LiteRT has one kernel of dense layers."""
        return "litert" if runtime == "litert-reference" else runtime

    def in_file(self, inputs: Any, kernel: Any, high: Any, bias: Any) -> Any:
        """Multiply matrices: with more axes the converter stays in float."""
        if len(inputs.shape) == 2:
            return super().in_file(inputs, kernel, high, bias)
        flat = ops.reshape(inputs, (-1, inputs.shape[-1]))
        outputs = super().in_file(flat, kernel, high, bias)
        return ops.reshape(outputs, (*ops.shape(inputs)[:-1], self.units))


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedConv2D(QuantizedKernel, layers.Conv2D):
    """`Conv2D` with 8-bit weights."""

    def linear(self, inputs: Any, kernel: Any) -> Any:
        """Convolve."""
        return self.convolution_op(inputs, kernel)


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedConv1D(QuantizedKernel, layers.Conv1D):
    """`Conv1D` with 8-bit weights."""

    def linear(self, inputs: Any, kernel: Any) -> Any:
        """Convolve."""
        inputs, padding = self._padded(inputs)
        return ops.conv(
            inputs,
            kernel,
            strides=list(self.strides),
            padding=padding,
            dilation_rate=self.dilation_rate,
        )

    def in_file(self, inputs: Any, kernel: Any, high: Any, bias: Any) -> Any:
        """Convolve images one pixel high: LiteRT has no 1D convolution."""
        inputs, padding = self._padded(inputs)
        outputs = ops.conv(
            ops.expand_dims(inputs, 1),
            self.quantized(kernel[np.newaxis], high),
            strides=(1, *self.strides),
            padding=padding,
            dilation_rate=(1, *self.dilation_rate),
        )
        return ops.squeeze(self.activated(outputs + bias), 1)

    def _padded(self, inputs: Any) -> tuple[Any, str]:
        if self.padding != "causal":
            return inputs, self.padding
        return ops.pad(inputs, causal_padding(self)), "valid"


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedConv2DTranspose(QuantizedKernel, layers.Conv2DTranspose):
    """`Conv2DTranspose` with 8-bit weights and one step for all of them.

    The converter rejects per-channel steps here, because the output channels
    are not the last axis of the kernel.
    """

    can_be_per_channel = False

    def linear(self, inputs: Any, kernel: Any) -> Any:
        """Apply the transposed convolution."""
        return ops.conv_transpose(
            inputs,
            kernel,
            strides=list(self.strides),
            padding=self.padding,
            output_padding=self.output_padding,
            dilation_rate=self.dilation_rate,
        )

    def channels_last(self, kernel: Any) -> Any:
        """Return `(height, width, inputs, outputs)`."""
        return ops.swapaxes(kernel, -1, -2)

    def restored(self, kernel: Any) -> Any:
        """Undo `channels_last`."""
        return ops.swapaxes(kernel, -1, -2)


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedDepthwiseConv2D(QuantizedKernel, layers.DepthwiseConv2D):
    """`DepthwiseConv2D` with 8-bit weights."""

    def linear(self, inputs: Any, kernel: Any) -> Any:
        """Convolve each channel by itself."""
        return ops.depthwise_conv(
            inputs,
            kernel,
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
        )

    def channels_last(self, kernel: Any) -> Any:
        """Return `(height, width, 1, inputs * multiplier)`."""
        height, width, inputs, multiplier = kernel.shape
        return ops.reshape(kernel, (height, width, 1, inputs * multiplier))

    def restored(self, kernel: Any) -> Any:
        """Undo `channels_last`."""
        return ops.reshape(kernel, self.kernel.shape)


KERNELS = {
    layers.Conv1D: QuantizedConv1D,
    layers.Conv2D: QuantizedConv2D,
    layers.Conv2DTranspose: QuantizedConv2DTranspose,
    layers.Dense: QuantizedDense,
    layers.DepthwiseConv2D: QuantizedDepthwiseConv2D,
}


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedEmbedding(layers.Embedding):
    """`Embedding` with 8-bit rows and one step for the whole table."""

    _fixed: tuple[np.ndarray, np.ndarray] | None = None

    def call(self, inputs: Any) -> Any:
        """Look rows up."""
        if inputs.dtype not in ("int32", "int64"):
            inputs = ops.cast(inputs, "int32")
        if self._fixed is not None:
            table = quantize_kernel(*self._fixed)
        else:
            table = ops.convert_to_tensor(self.embeddings)
            table = quantize_kernel(table, kernel_range(table, False))
        return ops.take(table, inputs, axis=0)

    def fix(self) -> None:
        """Compute with the constants of the file until `release`."""
        table = ops.convert_to_tensor(self.embeddings)
        high = kernel_range(table, False)
        self._fixed = tuple(map(ops.convert_to_numpy, (table, high)))

    def release(self) -> None:
        """Undo `fix`."""
        self._fixed = None
