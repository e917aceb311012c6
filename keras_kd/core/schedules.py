"""Numbers that may change while training: a value or a Keras schedule."""

from typing import TYPE_CHECKING
from typing import Any
from typing import TypeAlias

import keras

from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement

Schedule = keras.optimizers.schedules.LearningRateSchedule
if TYPE_CHECKING:
    Number: TypeAlias = float | Any  # Keras has no types to check against
else:
    Number = float | Schedule


def check_schedule(
    subject: str, argument: str, value: Any, **bounds: Any
) -> Number:
    """Return a checked number, or a schedule unchanged.

    Args:
        subject: Class or function to name in the error.
        argument: Name of the argument, for the error.
        value: A number, a `LearningRateSchedule`, or a serialized one.
        **bounds: Bounds and advice of `checks.check_number`.

    Raises:
        TypeError: If `value` is neither.
        ValueError: If a number is outside its bounds.
    """
    if isinstance(value, dict):
        value = keras.saving.deserialize_keras_object(value)
    if isinstance(value, Schedule):
        return value
    if callable(value):
        raise TypeError(
            requirement(
                subject,
                argument,
                "a number or a keras.optimizers.schedules.LearningRateSchedule",
                value,
                "Wrap the function in a subclass of LearningRateSchedule.",
            )
        )
    return check_number(subject, argument, value, **bounds)


def value_at(value: Number, step: Any) -> Any:
    """Return the value at an optimizer step."""
    return value(step) if isinstance(value, Schedule) else value


def to_config(value: Number) -> Any:
    """Return the value as JSON values."""
    if isinstance(value, Schedule):
        return keras.saving.serialize_keras_object(value)
    return value
