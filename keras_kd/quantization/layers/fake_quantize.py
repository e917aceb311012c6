"""Layers that round activations to an int8 grid."""

import math
from typing import Any

import keras
from keras import ops

from keras_kd.quantization.layers.rounding import fake_quantize
from keras_kd.quantization.layers.rounding import learned_step
from keras_kd.quantization.layers.rounding import rounded_as_data
from keras_kd.quantization.litert_arithmetic import operators
from keras_kd.quantization.litert_arithmetic.integers import LEVELS
from keras_kd.quantization.litert_arithmetic.stored import grid_step
from keras_kd.quantization.litert_arithmetic.stored import zero_point


# Derived from Identity, which code that inspects models looks through.
class FakeQuantize(keras.layers.Identity):
    """Base of the layers that round activations to 256 values.

    Subclasses define the grid: `observe` follows the data in training, and
    `limits` returns the ends of the grid. In inference a layer rounds as soon
    as it has seen data; in training, after `delay` steps.

    Args:
        delay: Number of training steps before the layer rounds in training.
        count: Number of tensors that the layer rounds, each in its own call.
        data: Whether the layer rounds the inputs of a student.
        runtime: Whose rounding the layer has that gives the values.
        **kwargs: Arguments of `keras.Layer`.
    """

    def __init__(
        self,
        delay: int = 0,
        count: int = 1,
        data: bool = False,
        runtime: str = "litert",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.runtime = runtime
        self.delay = delay
        self.count = count
        self.data = data
        self._fixed: tuple[float, float] | None = None

    def build(self, input_shape: Any) -> None:
        """Make the counter of training steps."""
        self.steps = step_counter(self)

    def call(
        self,
        inputs: Any,
        training: bool | None = None,
        averaged: bool = False,
        number: int = 0,
    ) -> Any:
        """Round values.

        Args:
            inputs: Real values.
            training: Whether to follow the data.
            averaged: Whether `inputs` are averages of values that this layer
                has rounded. The layer then does not observe them, and rounds
                halves as average pooling does.
            number: Which of the layer's tensors this is, from 0.
        """
        if self._fixed is not None:
            return fake_quantize(inputs, *self._fixed)
        if training and self.trainable and not averaged:
            if number == 0:
                self.steps.assign_add(1)
            self.observe(inputs, number)
        if averaged:
            inputs = operators.rounded_as_averages(inputs, *self.limits())
        if training:
            rounded, start = self.round(inputs), self.delay
        else:
            given = inputs
            if self.data:
                given = rounded_as_data(inputs, self.divisor())
            rounded, start = fake_quantize(given, *self.limits()), 0
        return ops.where(self.steps > start, rounded, inputs)

    def compute_output_spec(
        self,
        inputs: Any,
        training: bool | None = None,
        averaged: bool = False,
        number: int = 0,
    ) -> Any:
        """Return a tensor with the shape and type of the inputs."""
        return keras.KerasTensor(inputs.shape, inputs.dtype)

    def observe(self, inputs: Any, number: int) -> None:
        """Follow the values of a training step, included in `steps`."""

    def round(self, inputs: Any) -> Any:
        """Round values in training."""
        return fake_quantize(inputs, *self.limits())

    def limits(self) -> tuple[Any, Any]:
        """Return the lowest and the highest value, 255 steps apart."""
        raise NotImplementedError

    def grid_step(self, dtype: str = "float32") -> Any:
        """Return the step of the grid, 0 before the layer has seen data."""
        step = grid_step(*self.limits(), dtype)
        return ops.where(self.steps > 0, step, ops.zeros_like(step))

    def divisor(self, dtype: str = "float32") -> Any:
        """Return the step of the grid, or 1 if it is 0, as a divisor."""
        step = self.grid_step(dtype)
        return ops.where(step > 0, step, ops.ones_like(step))

    def zero_point(self) -> Any:
        """Return the integer from -128 to 127 that stands for 0."""
        return zero_point(self.limits()[0], self.divisor())

    def fix(self) -> None:
        """Compute with plain numbers until `release`."""
        low, high = self.limits()
        self._fixed = float(low), float(high)

    def release(self) -> None:
        """Undo `fix`."""
        self._fixed = None

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        changed: dict[str, Any] = (
            {"count": self.count} if self.count > 1 else {}
        )
        if self.data:
            changed["data"] = True
        if self.runtime != "litert":
            changed["runtime"] = self.runtime
        return {**super().get_config(), "delay": self.delay, **changed}


@keras.saving.register_keras_serializable("keras_kd")
class MovingRange(FakeQuantize):
    """Rounds to a range that follows the smallest and largest value.

    Formula:
        `low = m * low + (1 - m) * min(batch, 0)`, and `high` likewise with
        the maximum; the first batch sets both. If the layer rounds several
        tensors, the range covers the ranges of all of them.

    Reference:
        Jacob et al. 2018, arXiv:1712.05877, section 3.1.

    Args:
        momentum: `m`. Defaults to 0.99.
        **kwargs: Arguments of `FakeQuantize`.
    """

    def __init__(self, momentum: float = 0.99, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.momentum = momentum

    def build(self, input_shape: Any) -> None:
        """Make the range, empty at first."""
        super().build(input_shape)
        shape = (self.count,) if self.count > 1 else ()
        make = {"shape": shape, "trainable": False, "aggregation": "mean"}
        self.low = self.add_weight(name="low", initializer="zeros", **make)
        self.high = self.add_weight(name="high", initializer="zeros", **make)

    def observe(self, inputs: Any, number: int) -> None:
        """Move the range towards that of the batch."""
        kept = ops.where(self.steps > 1, self.momentum, 0.0)
        if self.count > 1:
            # The ranges of the other tensors stay.
            kept = ops.where(ops.arange(self.count) == number, kept, 1.0)
        inputs = ops.stop_gradient(inputs)
        for variable, found in (
            (self.low, ops.minimum(ops.min(inputs), 0.0)),
            (self.high, ops.maximum(ops.max(inputs), 0.0)),
        ):
            variable.assign(kept * variable + (1 - kept) * found)

    def limits(self) -> tuple[Any, Any]:
        """Return the range, moved by up to half a step to have 0 on its grid.

        Every program that takes a range moves it like this. If 0 lies halfway
        between two values, as in the range -1 to 1 of many images, one program
        moves it up and another one down, and all values differ by a step. So
        it is moved here already.
        """
        low, high = (
            ops.cast(end, "float64")
            for end in (ops.min(self.low), ops.max(self.high))
        )
        # The data was all zeros: any range covers them.
        high = ops.where(high > low, high, ops.ones_like(high))
        step = (high - low) / LEVELS
        below = ops.floor(0.5 - low / step)
        return tuple(
            ops.cast(count * step, "float32")
            for count in (-below, LEVELS - below)
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "momentum": self.momentum}


@keras.saving.register_keras_serializable("keras_kd")
class LearnedStep(FakeQuantize):
    """Rounds to multiples of a step that is trained.

    The first batch sets the step to `2 * mean(|v|) / sqrt(highest)`, for
    several tensors to the largest of these values.

    Reference:
        Esser et al. 2020, arXiv:1902.08153 (LSQ), at 8 bits.

    Args:
        signed: Whether the grid has values below 0: -128 to 127 steps if so,
            otherwise 0 to 255.
        **kwargs: Arguments of `FakeQuantize`.
    """

    def __init__(self, signed: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.signed = signed
        self._limits = (-128, 127) if signed else (0, 255)

    def build(self, input_shape: Any) -> None:
        """Make the step, 1 until the first batch."""
        super().build(input_shape)
        self.step = self.add_weight(
            name="step", shape=(), initializer="ones", aggregation="mean"
        )

    def observe(self, inputs: Any, number: int) -> None:
        """Set the step from the first batch."""
        size = ops.mean(ops.abs(ops.stop_gradient(inputs)))
        first = 2 * size / math.sqrt(self._limits[1])
        first = ops.where(first > 0, first, 1.0)
        if number:
            first = ops.maximum(first, self.step)
        self.step.assign(ops.where(self.steps > 1, self.step + 0.0, first))

    def round(self, inputs: Any) -> Any:
        """Round to multiples of the step, with a gradient for the step."""
        return learned_step(inputs, self._positive(), *self._limits)

    def limits(self) -> tuple[Any, Any]:
        """Return the outermost multiples of the step."""
        low, high = self._limits
        return low * self._positive(), high * self._positive()

    def _positive(self) -> Any:
        # The optimizer may make the step negative.
        return ops.maximum(self.step, 1e-8)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "signed": self.signed}


@keras.saving.register_keras_serializable("keras_kd")
class FixedRange(FakeQuantize):
    """Rounds to a range prescribed by the device.

    Args:
        low: Lowest value.
        high: Highest value.
        **kwargs: Arguments of `FakeQuantize`.
    """

    def __init__(self, low: float, high: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.low = low
        self.high = high

    def limits(self) -> tuple[Any, Any]:
        """Return the range."""
        return self.low, self.high

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "low": self.low, "high": self.high}


def step_counter(layer: keras.Layer) -> keras.Variable:
    """Add a counter of training steps to a layer."""
    return layer.add_weight(
        name="steps",
        shape=(),
        initializer="zeros",
        dtype="int32",
        trainable=False,
        aggregation="only_first_replica",
    )
