"""Layers that put activations on the grid of int8."""

import math
from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from keras_kd.core.checks import requirement
from keras_kd.quantization.arithmetic import fake_quantize
from keras_kd.quantization.arithmetic import learned_step
from keras_kd.quantization.arithmetic import rounded_as_averages


class Range(NamedTuple):
    """Lowest and highest value of a grid, as plain numbers."""

    low: float
    high: float


# An Identity, so that whatever reads a model's layers looks through it.
class FakeQuantize(keras.layers.Identity):
    """Base of the layers that round activations to 256 values.

    Subclasses say where the values are: `observe` follows the data in
    training, `round` rounds, `ends` tells the numbers for the file. In
    inference a layer rounds as soon as it has seen data; in training after
    `delay` steps.

    Args:
        delay: Training steps that pass before it rounds in training.
        **kwargs: Of `keras.Layer`.
    """

    def __init__(self, delay: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delay = delay
        self._fixed: Range | None = None

    def build(self, input_shape: Any) -> None:
        """Make the counter of training steps."""
        self.steps = self.add_weight(
            name="steps",
            shape=(),
            initializer="zeros",
            dtype="int32",
            trainable=False,
            aggregation="only_first_replica",
        )

    def call(
        self, inputs: Any, training: bool | None = None, averaged: bool = False
    ) -> Any:
        """Round values.

        Args:
            inputs: Real values.
            training: Whether to follow the data.
            averaged: Whether `inputs` are averages of values that this layer
                has rounded: they show nothing new, and halves are rounded as
                average pooling does.
        """
        if self._fixed is not None:
            return fake_quantize(inputs, *self._fixed)
        if training and self.trainable and not averaged:
            self.observe(inputs)
            self.steps.assign_add(1)
        start = self.delay if training else 0
        rounded = self.round(inputs, averaged)
        return ops.where(self.steps > start, rounded, inputs)

    def observe(self, inputs: Any) -> None:
        """Follow the values of a training step."""

    def round(self, inputs: Any, averaged: bool) -> Any:
        """Round values to the grid."""
        raise NotImplementedError

    def ends(self) -> Range:
        """Return the grid's ends."""
        raise NotImplementedError

    def fix(self) -> None:
        """Compute with plain numbers until `release`, as a file stores them.

        Raises:
            ValueError: If the layer has seen no data.
        """
        if not int(self.steps):
            raise ValueError(
                requirement(
                    "quantize_aware",
                    "student",
                    "trained for at least one step before it is exported",
                    self,
                    "It has seen no data: call `fit`.",
                )
            )
        self._fixed = self.ends()

    def release(self) -> None:
        """Undo `fix`."""
        self._fixed = None

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "delay": self.delay}


@keras.saving.register_keras_serializable("keras_kd")
class MovingRange(FakeQuantize):
    """Rounds to a range that follows the smallest and largest value.

    Formula:
        `low = m * low + (1 - m) * min(batch, 0)`, `high` alike; the first
        batch sets them.

    Reference:
        Jacob et al. 2018, arXiv:1712.05877, section 3.1.

    Args:
        momentum: `m`. Defaults to 0.99.
        **kwargs: Of `FakeQuantize`.
    """

    def __init__(self, momentum: float = 0.99, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.momentum = momentum

    def build(self, input_shape: Any) -> None:
        """Make the range, empty at first."""
        super().build(input_shape)
        make = {"shape": (), "trainable": False, "aggregation": "mean"}
        self.low = self.add_weight(name="low", initializer="zeros", **make)
        self.high = self.add_weight(name="high", initializer="zeros", **make)

    def observe(self, inputs: Any) -> None:
        """Move the range towards the batch's."""
        kept = ops.where(self.steps > 0, self.momentum, 0.0)
        inputs = ops.stop_gradient(inputs)
        for variable, found in (
            (self.low, ops.minimum(ops.min(inputs), 0.0)),
            (self.high, ops.maximum(ops.max(inputs), 0.0)),
        ):
            variable.assign(kept * variable + (1 - kept) * found)

    def round(self, inputs: Any, averaged: bool) -> Any:
        """Round to the range."""
        low, high = ops.convert_to_tensor(self.low), self.high + 0.0
        if averaged:
            inputs = rounded_as_averages(inputs, low, high)
        return fake_quantize(inputs, low, high)

    def ends(self) -> Range:
        """Return the range; one of nothing but zeros is [0, 1]."""
        low, high = float(self.low), float(self.high)
        return Range(low, high) if high > low else Range(0.0, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "momentum": self.momentum}


@keras.saving.register_keras_serializable("keras_kd")
class LearnedStep(FakeQuantize):
    """Rounds to multiples of a step that training finds.

    The first batch sets the step to `2 * mean(|v|) / sqrt(highest)`.

    Reference:
        Esser et al. 2020, arXiv:1902.08153 (LSQ), at 8 bits.

    Args:
        signed: Whether values below 0 are kept: -128 to 127 steps, and
            otherwise 0 to 255.
        **kwargs: Of `FakeQuantize`.
    """

    def __init__(self, signed: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.signed = signed
        self._limits = (-128, 127) if signed else (0, 255)

    def build(self, input_shape: Any) -> None:
        """Make the step, 1 until data comes."""
        super().build(input_shape)
        self.step = self.add_weight(
            name="step", shape=(), initializer="ones", aggregation="mean"
        )

    def observe(self, inputs: Any) -> None:
        """Set the step from the first batch."""
        size = ops.mean(ops.abs(ops.stop_gradient(inputs)))
        first = 2 * size / math.sqrt(self._limits[1])
        first = ops.where(first > 0, first, 1.0)
        self.step.assign(ops.where(self.steps > 0, self.step + 0.0, first))

    def round(self, inputs: Any, averaged: bool) -> Any:
        """Round to the step."""
        # The optimizer may step past 0.
        step = ops.maximum(self.step, 1e-8)
        if averaged:
            low, high = (limit * step for limit in self._limits)
            inputs = rounded_as_averages(inputs, low, high)
        return learned_step(inputs, step, *self._limits)

    def ends(self) -> Range:
        """Return the outermost multiples of the step."""
        step = max(float(self.step), 1e-8)
        return Range(*(limit * step for limit in self._limits))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "signed": self.signed}


@keras.saving.register_keras_serializable("keras_kd")
class FixedRange(FakeQuantize):
    """Rounds to a range that the device prescribes.

    Args:
        low: Lowest value.
        high: Highest value.
        **kwargs: Of `FakeQuantize`.
    """

    def __init__(self, low: float, high: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.low = low
        self.high = high

    def round(self, inputs: Any, averaged: bool) -> Any:
        """Round to the range."""
        if averaged:
            inputs = rounded_as_averages(inputs, self.low, self.high)
        return fake_quantize(inputs, self.low, self.high)

    def ends(self) -> Range:
        """Return the range."""
        return Range(self.low, self.high)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "low": self.low, "high": self.high}
