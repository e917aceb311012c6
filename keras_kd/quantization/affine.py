"""Layers that multiply and add a constant, as the device computes them."""

from typing import Any

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_kd.quantization.arithmetic import quantize_kernel
from keras_kd.quantization.weighted import scale_and_offset


class Affine(keras.Layer):
    """Mixin for a layer that is `x * factor + offset` in inference.

    In the file it is a depthwise convolution of one pixel: int8 has no
    multiplication by constants of 32 bits. Its weights, one a channel, are
    127 steps each and thus exact.
    """

    _fixed: tuple[np.ndarray, np.ndarray] | None = None

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute as the Keras layer, or as the file does."""
        if self._fixed is None:
            return super().call(inputs, *args, **kwargs)
        factor, offset = self._fixed
        shape = (1, 1, 1, inputs.shape[-1])
        kernel = np.broadcast_to(factor, shape).astype("float32")
        high = np.maximum(np.abs(kernel).reshape(-1), 1e-12)
        kernel = ops.reshape(quantize_kernel(kernel, high), (1, 1, -1, 1))
        pixels = inputs
        if len(inputs.shape) != 4:
            pixels = ops.reshape(inputs, (-1, *shape[1:]))
        outputs = ops.depthwise_conv(pixels, kernel) + np.float32(offset)
        if len(inputs.shape) != 4:
            outputs = ops.reshape(outputs, (-1, *inputs.shape[1:]))
        return outputs

    def constants(self) -> tuple[Any, Any]:
        """Return factor and offset."""
        raise NotImplementedError

    def fix(self) -> None:
        """Compute with constants until `release`, as a file stores them."""
        self._fixed = tuple(map(ops.convert_to_numpy, self.constants()))

    def release(self) -> None:
        """Undo `fix`."""
        self._fixed = None


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedBatchNormalization(Affine, layers.BatchNormalization):
    """A `BatchNormalization` that no convolution can take in."""

    def constants(self) -> tuple[Any, Any]:
        """Return factor and offset from the moving statistics."""
        return scale_and_offset(self)


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedRescaling(Affine, layers.Rescaling):
    """`Rescaling` in 8 bits."""

    def constants(self) -> tuple[Any, Any]:
        """Return `scale` and `offset`."""
        return np.float32(self.scale), np.float32(self.offset)


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedNormalization(Affine, layers.Normalization):
    """`Normalization` over channels in 8 bits."""

    def constants(self) -> tuple[Any, Any]:
        """Return factor and offset from the data's statistics."""
        mean = ops.convert_to_numpy(self.mean).reshape(-1)
        variance = ops.convert_to_numpy(self.variance).reshape(-1)
        factor = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
        if self.invert:
            return 1 / factor, mean
        return factor, -mean * factor


AFFINE = {
    layers.BatchNormalization: QuantizedBatchNormalization,
    layers.Normalization: QuantizedNormalization,
    layers.Rescaling: QuantizedRescaling,
}
