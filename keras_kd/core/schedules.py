"""Numbers that may change while training: a value or a Keras schedule."""

from collections.abc import Iterator
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
    subject: str,
    argument: str,
    value: Any,
    *,
    advice: str = "",
    **bounds: Any,
) -> Number:
    """Return a checked number, or a schedule unchanged.

    A schedule is read where it turns, as far as its config tells: at step 0,
    and at and behind the steps that it counts, such as `decay_steps`.

    Args:
        subject: Class or function to name in the error.
        argument: Name of the argument, for the error.
        value: A number, a `LearningRateSchedule`, or a serialized one.
        advice: What the user can do; added to the message.
        **bounds: Bounds of `checks.check_number`.

    Raises:
        TypeError: If `value` is neither.
        ValueError: If the number, or the schedule at a step, is outside its
            bounds.
    """
    if isinstance(value, dict):
        value = keras.saving.deserialize_keras_object(value)
    if isinstance(value, Schedule):
        for step in _turns(value):
            reached = float(keras.ops.convert_to_numpy(value(step)))
            told = f"This is the value of the schedule at step {step}. {advice}"
            check_number(
                subject, argument, reached, advice=told.strip(), **bounds
            )
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
    return check_number(subject, argument, value, advice=advice, **bounds)


def value_at(value: Number, step: Any) -> Any:
    """Return the value at an optimizer step."""
    return value(step) if callable(value) else value


def to_config(value: Number) -> Any:
    """Return the value as JSON values."""
    if callable(value):
        return keras.saving.serialize_keras_object(value)
    return value


def _turns(schedule: Any) -> Iterator[int]:
    """Yield the steps at which a schedule starts, turns and ends."""
    yield 0
    try:
        config = schedule.get_config()
    except NotImplementedError:
        return
    counts = [
        int(number)
        for number in keras.tree.flatten(config)
        if isinstance(number, (int, float)) and number > 0 and number % 1 == 0
    ]
    for count in [*counts, sum(counts)]:
        yield from (count, count + 1)
