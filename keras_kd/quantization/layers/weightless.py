"""Layers without weights that round, in inference, as the file does."""

from typing import Any

import keras
from keras import layers
from keras import ops

from keras_kd.quantization.activations import ABOVE_0
from keras_kd.quantization.activations import activation_of
from keras_kd.quantization.layers.fake_quantize import FakeQuantize
from keras_kd.quantization.layers.neighbours import known_grids
from keras_kd.quantization.layers.rounding import fake_quantize
from keras_kd.quantization.litert_arithmetic import operators
from keras_kd.quantization.litert_arithmetic.hard_swish import hard_swish_table
from keras_kd.quantization.litert_arithmetic.integers import LEVELS


class PlainInFile(keras.Layer):
    """Mixin for a layer that the converter has to see as Keras has it."""

    is_plain = False

    def fix(self) -> None:
        """Compute as Keras does until `release`."""
        self.is_plain = True

    def release(self) -> None:
        """Undo `fix`."""
        self.is_plain = False


class RoundsAsFile(PlainInFile):
    """Mixin for a layer that rounds, in inference, as the file's kernel does.

    It computes as Keras does in training, and where a grid that its inputs or
    its results are on is not known.
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Compute, in inference from whole numbers.

        Args:
            inputs: Values on grids.
            training: Whether the student is trained.
        """
        results = super().call(inputs)
        grids = known_grids(self)
        if training or self.is_plain or grids is None:
            return results
        before, after = grids
        found = self.in_steps(inputs, before, after)
        for grid in (*before, after):
            found = ops.where(grid.steps > 0, found, results)
        return found

    def in_steps(
        self, inputs: Any, before: list[FakeQuantize], after: FakeQuantize
    ) -> Any:
        """Compute from whole numbers.

        Args:
            inputs: Values on grids.
            before: What rounded them, one an input.
            after: What rounds the results.
        """
        raise NotImplementedError


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
        return operators.product(inputs, steps, after.divisor())


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedAdd(_Pairwise, layers.Add):
    """`Add` of two inputs in 8 bits."""

    def in_steps(self, inputs: Any, before: Any, after: FakeQuantize) -> Any:
        """Add multiples of whole numbers."""
        steps = [grid.divisor() for grid in before]
        return operators.sum_of_two(inputs, steps, after.divisor())


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedGlobalAveragePooling2D(
    RoundsAsFile, layers.GlobalAveragePooling2D
):
    """`GlobalAveragePooling2D` in 8 bits."""

    def in_steps(self, inputs: Any, before: Any, after: FakeQuantize) -> Any:
        """Sum the stored numbers, and divide."""
        grid, results = (
            (quantizer.divisor(), quantizer.zero_point())
            for quantizer in (*before, after)
        )
        return operators.mean_of_images(inputs, grid, results, self.keepdims)


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedHardSwish(RoundsAsFile, layers.Activation):
    """`x * relu6(x + 3) / 6` in 8 bits.

    LiteRT multiplies in 16 bits and rounds three times: of 256 inputs some
    come out a step away from the nearest value. In inference this layer looks
    its results up in a table of the same arithmetic; in training it is exact.

    Args:
        **kwargs: Of `keras.Layer`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "activation": "hard_silu"})

    def in_steps(self, inputs: Any, before: Any, after: FakeQuantize) -> Any:
        """Look results up."""
        grid, results = (
            (quantizer.divisor(), quantizer.zero_point() + 128)
            for quantizer in (before[0], after)
        )
        step, zero = grid
        place = ops.cast(ops.round(inputs / step), "int32") + zero
        found = ops.take(
            hard_swish_table(grid, results), ops.clip(place, 0, LEVELS)
        )
        # The gradient is the exact one.
        exact = ops.hard_silu(inputs)
        return exact + ops.stop_gradient(found - exact)


class _Composed(layers.Activation):
    """An activation with its inner steps rounded."""

    def call(self, inputs: Any) -> Any:
        """Compute in the operators that int8 has."""
        if activation_of(self) == "silu":
            return inputs * _sigmoid(inputs)
        # Constants too have to be on a grid.
        three = fake_quantize(ops.full((1,), 3.0), 0.0, 3.0)
        sixth = fake_quantize(ops.full((1,), 1 / 6), 0.0, 1 / 6)
        return fake_quantize(ops.relu6(inputs + three), 0.0, 6.0) * sixth


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedActivation(RoundsAsFile, _Composed):
    """An activation of several operators in 8 bits.

    Args:
        activation: `"silu"` or `"hard_sigmoid"`.
        **kwargs: Of `keras.Layer`.
    """

    def in_steps(self, inputs: Any, before: Any, after: FakeQuantize) -> Any:
        """Compute each operator from whole numbers."""
        step, results = before[0].divisor(), after.divisor()
        if activation_of(self) == "silu":
            return operators.silu(inputs, _sigmoid(inputs), step, results)
        return operators.hard_sigmoid(inputs, step, results)


def _sigmoid(inputs: Any) -> Any:
    return fake_quantize(ops.sigmoid(inputs), *ABOVE_0)


PAIRWISE = {"Add": QuantizedAdd, "Multiply": QuantizedMultiply}
