"""The temperature of a loss: a number, a schedule, or learned."""

import math
from typing import Any

import keras
from keras import ops

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement
from keras_kd.core.schedules import Number
from keras_kd.core.schedules import check_schedule


@keras.saving.register_keras_serializable("keras_kd")
class LearnableTemperature(keras.Layer):
    """A temperature that is learned against the student.

    Give it to a loss as its `temperature`. It goes where the loss is larger,
    while the student makes the loss smaller: a curriculum that gets harder
    as training goes on. Choose it to save the search for a temperature. It
    adds one weight, which is trained and saved with the Distiller and is no
    part of the student. `loss.temperature.value` is the present temperature.

    Formula:
        `T = low + (high - low) * sigmoid(theta)`. The gradient of the weight
        theta is multiplied by `-(1 - cos(pi * min(step / ramp_steps, 1))) / 2`,
        which goes from 0 to -1 along a cosine.

    Reference:
        Li et al. 2023, arXiv:2211.16231 (curriculum temperature), with one
        temperature for all examples, "global" in the authors' code.

    Args:
        ramp_steps: The optimizer steps until the reversed gradient has its
            full size, 1 or more; the authors take those of 10 epochs.
        low: Lower bound of T, above 0. Defaults to 1.0.
        high: Upper bound of T, above `low`. Defaults to 21.0.
        start: T at the start, between `low` and `high`. Defaults to `None`:
            where theta is 1, which is 15.62 with the default bounds.
        name: Name of the layer.

    Raises:
        TypeError: If `ramp_steps` is no integer.
        ValueError: If an argument is outside its range.

    Example:
    >>> import keras_kd
    >>> temperature = keras_kd.losses.LearnableTemperature(ramp_steps=5000)
    >>> loss = keras_kd.losses.SoftTargets(temperature)
    >>> print(f"{loss.temperature.value:.2f}")
    15.62
    """

    def __init__(
        self,
        ramp_steps: int,
        *,
        low: float = 1.0,
        high: float = 21.0,
        start: float | None = None,
        name: str = "temperature",
    ) -> None:
        super().__init__(name=name, dtype="float32", autocast=False)
        subject = type(self).__name__
        self.ramp_steps = check_integer(
            subject, "ramp_steps", ramp_steps, low=1
        )
        self.low = check_number(subject, "low", low, above=0)
        self.high = check_number(subject, "high", high, above=self.low)
        self._theta = 1.0
        if start is not None:
            start = check_number(subject, "start", start, above=self.low)
            if start >= self.high:
                expected = f"below `high`, {self.high:g}"
                raise ValueError(requirement(subject, "start", expected, start))
            self._theta = math.log((start - self.low) / (self.high - start))
        self.start = start

    def __call__(self, step: Any) -> Any:
        """Return the temperature, whose gradient is that of an optimizer step.

        Args:
            step: The optimizer step.

        Returns:
            A scalar, float32.
        """
        return super().__call__(ops.convert_to_tensor(step))

    def build(self, step_shape: Any = None) -> None:
        """Make the weight."""
        del step_shape
        self.theta = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self._theta),
            name="theta",
        )

    def call(self, step: Any) -> Any:
        """Return the temperature."""
        done = ops.minimum(ops.cast(step, "float32") / self.ramp_steps, 1.0)
        reverse = (ops.cos(math.pi * done) - 1) / 2
        theta = ops.convert_to_tensor(self.theta)
        # The value is theta, the gradient is `reverse`.
        theta = ops.stop_gradient(theta * (1 - reverse)) + theta * reverse
        return self.low + (self.high - self.low) * ops.sigmoid(theta)

    @property
    def value(self) -> float:
        """The present temperature."""
        theta = float(self.theta) if self.built else self._theta
        return self.low + (self.high - self.low) / (1 + math.exp(-theta))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {
            "name": self.name,
            "ramp_steps": self.ramp_steps,
            "low": self.low,
            "high": self.high,
            "start": self.start,
        }


def check_temperature(subject: str, value: Any, advice: str = "") -> Number:
    """Return a checked `temperature` argument.

    Args:
        subject: The loss to name in the error.
        value: A number, a schedule, a `LearnableTemperature`, or one of
            these serialized.
        advice: What the user can do; added to the message.

    Raises:
        TypeError: If it is none of these.
        ValueError: If it is not greater than 0.
    """
    if isinstance(value, dict):
        value = keras.saving.deserialize_keras_object(value)
    if isinstance(value, LearnableTemperature):
        return value
    return check_schedule(subject, "temperature", value, above=0, advice=advice)
