"""Layers without weights that round like the file in inference."""

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
    """Mixin for a layer that the converter has to see as plain Keras."""

    is_plain = False

    def fix(self) -> None:
        """Compute like the plain Keras layer until `release`."""
        self.is_plain = True

    def release(self) -> None:
        """Undo `fix`."""
        self.is_plain = False


class RoundsAsFile(PlainInFile):
    """Mixin for a layer that rounds like the file's kernel in inference.

    It computes like the plain Keras layer in training, or if the grid of an
    input or of the results is unknown.
    """

    def call(
        self, inputs: Any, training: bool | None = None, number: int = 0
    ) -> Any:
        """Compute the layer; in inference, with integer arithmetic.

        Args:
            inputs: Values on grids.
            training: Whether the student is trained.
            number: Which of the layer's calls this is, from 0.
        """
        results = super().call(inputs)
        grids = known_grids(self, number)
        if training or self.is_plain or grids is None:
            return results
        before, after = grids
        found = self.in_steps(inputs, before, after)
        for grid in (*before, after):
            found = ops.where(grid.steps > 0, found, results)
        return found

    def compute_output_spec(
        self, inputs: Any, training: bool | None = None, number: int = 0
    ) -> Any:
        """Return what the plain Keras layer gives."""
        return super().compute_output_spec(inputs)

    def in_steps(
        self, inputs: Any, before: list[FakeQuantize], after: FakeQuantize
    ) -> Any:
        """Compute the results with integer arithmetic.

        Args:
            inputs: Values on grids.
            before: The layers that rounded the inputs, one for each.
            after: The layer that rounds the results.
        """
        raise NotImplementedError


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedMultiply(RoundsAsFile, layers.Multiply):
    """`Multiply` of two inputs in 8 bits."""

    def in_steps(self, inputs: Any, before: Any, after: FakeQuantize) -> Any:
        """Multiply integers."""
        steps = [grid.divisor() for grid in before]
        return operators.product(inputs, steps, after.divisor(), after.runtime)


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedAdd(RoundsAsFile, layers.Add):
    """`Add` of two inputs in 8 bits."""

    def in_steps(self, inputs: Any, before: Any, after: FakeQuantize) -> Any:
        """Add multiples of integers."""
        steps = [grid.divisor() for grid in before]
        return operators.sum_of_two(
            inputs, steps, after.divisor(), after.runtime
        )


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedSubtract(RoundsAsFile, layers.Subtract):
    """`Subtract` of two inputs in 8 bits."""

    def in_steps(self, inputs: Any, before: Any, after: FakeQuantize) -> Any:
        """Add multiples of integers, the second of them negated."""
        steps = [grid.divisor() for grid in before]
        pair = (inputs[0], -inputs[1])
        return operators.sum_of_two(pair, steps, after.divisor(), after.runtime)


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedGlobalAveragePooling2D(
    RoundsAsFile, layers.GlobalAveragePooling2D
):
    """`GlobalAveragePooling2D` in 8 bits."""

    def in_steps(self, inputs: Any, before: Any, after: FakeQuantize) -> Any:
        """Sum the stored integers and divide."""
        grid, results = (
            (quantizer.divisor(), quantizer.zero_point())
            for quantizer in (*before, after)
        )
        return operators.mean_of_images(
            inputs, grid, results, self.keepdims, after.runtime
        )


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedAbsolute(RoundsAsFile, layers.Activation):
    """Absolute values in 8 bits.

    Args:
        **kwargs: Arguments of `keras.Layer`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "activation": ops.absolute})

    def in_steps(self, inputs: Any, before: Any, after: FakeQuantize) -> Any:
        """Multiply absolute integers by the ratio of the steps."""
        return operators.absolute(inputs, before[0].divisor(), after.divisor())

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        config = super().get_config()
        del config["activation"]
        return config


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedHardSwish(RoundsAsFile, layers.Activation):
    """`x * relu6(x + 3) / 6` in 8 bits.

    LiteRT multiplies in 16 bits and rounds three times, so that some of the
    256 possible results are one step off the nearest value. In inference this
    layer looks its results up in a table made with the same arithmetic; in
    training it is exact.

    Args:
        **kwargs: Arguments of `keras.Layer`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "activation": "hard_silu"})

    def in_steps(self, inputs: Any, before: Any, after: FakeQuantize) -> Any:
        """Look the results up in a table."""
        grid, results = (
            (quantizer.divisor(), quantizer.zero_point() + 128)
            for quantizer in (before[0], after)
        )
        step, zero = grid
        place = ops.cast(ops.round(inputs / step), "int32") + zero
        found = ops.take(
            hard_swish_table(grid, results), ops.clip(place, 0, LEVELS)
        )
        # The gradient is that of the exact function.
        exact = ops.hard_silu(inputs)
        return exact + ops.stop_gradient(found - exact)


class _Composed(layers.Activation):
    """An activation with its inner steps rounded."""

    def call(self, inputs: Any) -> Any:
        """Compute with operators that int8 has."""
        if activation_of(self) == "silu":
            return inputs * _sigmoid(inputs)
        # Constants have to be on a grid, too.
        three = fake_quantize(ops.full((1,), 3.0), 0.0, 3.0)
        sixth = fake_quantize(ops.full((1,), 1 / 6), 0.0, 1 / 6)
        return fake_quantize(ops.relu6(inputs + three), 0.0, 6.0) * sixth


@keras.saving.register_keras_serializable("keras_kd")
class QuantizedActivation(RoundsAsFile, _Composed):
    """An activation that takes several operators in 8 bits.

    Args:
        activation: `"silu"` or `"hard_sigmoid"`.
        **kwargs: Arguments of `keras.Layer`.
    """

    def in_steps(self, inputs: Any, before: Any, after: FakeQuantize) -> Any:
        """Compute each operator with integer arithmetic."""
        step, results = before[0].divisor(), after.divisor()
        if activation_of(self) == "silu":
            gate = _sigmoid(inputs)
            return operators.silu(inputs, gate, step, results, after.runtime)
        return operators.hard_sigmoid(inputs, step, results, after.runtime)


def _sigmoid(inputs: Any) -> Any:
    return fake_quantize(ops.sigmoid(inputs), *ABOVE_0)


PAIRWISE = {
    "Add": QuantizedAdd,
    "Multiply": QuantizedMultiply,
    "Subtract": QuantizedSubtract,
}
