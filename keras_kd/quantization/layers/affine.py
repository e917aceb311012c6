"""Layers that multiply by and add constants, as the device computes them."""

from typing import Any

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_kd.quantization.layers.neighbours import known_grids
from keras_kd.quantization.layers.rounding import LEAST_RANGE
from keras_kd.quantization.layers.rounding import quantize_kernel
from keras_kd.quantization.layers.weighted import rounded_bias
from keras_kd.quantization.layers.weighted import scale_and_offset
from keras_kd.quantization.layers.weighted import weighted_sum


class Affine(keras.Layer):
    """Mixin for a layer that is `x * factor + offset` in inference.

    The file has a depthwise convolution with a 1x1 kernel in its place,
    because int8 operators cannot multiply by 32-bit constants. The kernel has
    one weight per channel, which is the largest of its channel, 127 steps, and
    so is stored exactly. `offset` is a bias, see `rounded_bias`.
    """

    _fixed: tuple[np.ndarray, np.ndarray] | None = None

    def call(
        self,
        inputs: Any,
        training: bool | None = None,
        mask: Any = None,
        number: int = 0,
    ) -> Any:
        """Multiply and add.

        Args:
            inputs: Real values, channels last.
            training: Whether a normalization uses the batch.
            mask: Mask of the batch.
            number: Which of the layer's calls this is, from 0.
        """
        if self._fixed is not None:
            return _depthwise(inputs, *self._fixed)
        if training:
            return self.trained(inputs, mask)
        factor, offset = self.constants()
        grids = known_grids(self, number)
        high = ops.maximum(ops.abs(factor), LEAST_RANGE)
        if grids is None:
            return inputs * factor + rounded_bias(self, high, offset, number)
        counts = 127 * ops.sign(factor)
        runtime = grids[1].runtime
        return weighted_sum(
            ops.multiply, inputs, counts, high, offset, grids, runtime
        )

    def trained(self, inputs: Any, mask: Any) -> Any:
        """Compute the layer in training."""
        factor, offset = self.constants()
        return inputs * factor + offset

    def constants(self) -> tuple[Any, Any]:
        """Return factor and offset, as scalars or one value per channel."""
        raise NotImplementedError

    def fix(self) -> None:
        """Compute with the constants of the file until `release`."""
        self._fixed = tuple(map(ops.convert_to_numpy, self.constants()))

    def release(self) -> None:
        """Undo `fix`."""
        self._fixed = None


def _depthwise(inputs: Any, factor: Any, offset: Any) -> Any:
    """Multiply and add in a depthwise convolution with a 1x1 kernel."""
    channels = inputs.shape[-1]
    flat = np.broadcast_to(factor, (1, 1, 1, channels)).astype("float32")
    high = np.maximum(np.abs(flat).reshape(-1), LEAST_RANGE)
    kernel = ops.reshape(quantize_kernel(flat, high), (1, 1, channels, 1))
    pixels = inputs
    if len(inputs.shape) != 4:
        pixels = ops.reshape(inputs, (-1, 1, 1, channels))
    outputs = ops.depthwise_conv(pixels, kernel) + offset.astype("float32")
    if len(inputs.shape) != 4:
        outputs = ops.reshape(outputs, (-1, *inputs.shape[1:]))
    return outputs


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedBatchNormalization(Affine, layers.BatchNormalization):
    """A `BatchNormalization` that cannot be folded into a convolution."""

    def trained(self, inputs: Any, mask: Any) -> Any:
        """Normalize by the batch's statistics and update the moving ones."""
        norm = layers.BatchNormalization
        return norm.call(self, inputs, training=True, mask=mask)

    def constants(self) -> tuple[Any, Any]:
        """Return factor and offset from the moving statistics."""
        return scale_and_offset(self)


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedRescaling(Affine, layers.Rescaling):
    """`Rescaling` in 8 bits."""

    def constants(self) -> tuple[Any, Any]:
        """Return `scale` and `offset`."""
        constants = (self.scale, self.offset)
        return tuple(ops.convert_to_tensor(c, "float32") for c in constants)


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedNormalization(Affine, layers.Normalization):
    """`Normalization` over channels in 8 bits."""

    def constants(self) -> tuple[Any, Any]:
        """Return factor and offset from the data's statistics."""
        mean, variance = ops.ravel(self.mean), ops.ravel(self.variance)
        factor = 1 / ops.maximum(ops.sqrt(variance), keras.config.epsilon())
        if self.invert:
            return 1 / factor, mean
        return factor, -mean * factor


AFFINE = {
    layers.BatchNormalization: QuantizedBatchNormalization,
    layers.Normalization: QuantizedNormalization,
    layers.Rescaling: QuantizedRescaling,
}
