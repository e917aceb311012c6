"""The search space: alpha, the arguments of the losses, the width."""

from typing import Any

import keras

from keras_kd.core.ranges import Range
from keras_kd.distiller.objective import resolve_losses
from keras_kd.losses import DistillationLoss
from keras_kd.losses.keras_loss import is_keras_loss

ALPHA = Range(0.1, 1.0)
# The first value tried: the Distiller's default.
FIRST_ALPHA = 0.9
WIDTH = Range(0.0625, 1.0)
# A sixteenth is exact in binary, so that 0.25 is 0.25 in every trial.
WIDTH_STEP = 0.0625
FIRST_WIDTH = 0.25


def alpha(hp: Any) -> float:
    """Return the weight of the distillation part in a trial."""
    return _draw(hp, "alpha", ALPHA, FIRST_ALPHA)


def width(hp: Any) -> float:
    """Return the width multiplier of a trial's student."""
    return _draw(hp, "width", WIDTH, FIRST_WIDTH, step=WIDTH_STEP)


def is_function(losses: Any) -> bool:
    """Tell whether `losses` is a function from hyperparameters to losses."""
    return (
        callable(losses)
        and not isinstance(losses, (type, keras.Layer))
        and not is_keras_loss(losses)
    )


def losses(hp: Any, given: Any) -> list[DistillationLoss]:
    """Return new losses for a trial; losses may own weights.

    Args:
        hp: The trial's `keras_tuner.HyperParameters`.
        given: What a `Distiller` takes as `losses`, or a function of `hp`
            that returns it.

    Returns:
        One new instance per loss. Each argument in the class's `ranges` is a
        hyperparameter, with its range widened to include the value given;
        an argument that follows a schedule is not searched. The
        hyperparameters are named `"<loss>/<argument>"`; a single temperature
        is named `"temperature"`.
    """
    if is_function(given):
        return resolve_losses(given(hp), None)
    templates = resolve_losses(given, None)
    searched = [(loss, _searched(loss)) for loss in templates]
    temperatures = sum("temperature" in found for _, found in searched)
    made = []
    for loss, found in searched:
        config = loss.get_config()
        for argument, range_ in found.items():
            alone = argument == "temperature" and temperatures == 1
            name = argument if alone else f"{loss.name}/{argument}"
            config[argument] = _draw(hp, name, range_, config[argument])
        made.append(type(loss).from_config(config))
    return made


def _searched(loss: DistillationLoss) -> dict[str, Range]:
    config = loss.get_config()
    return {
        argument: range_
        for argument, range_ in loss.ranges.items()
        if isinstance(config[argument], (int, float))
    }


def _draw(
    hp: Any,
    name: str,
    range_: Range,
    first: float,
    step: float | None = None,
) -> float:
    """Return a hyperparameter's value; a user's declaration of it wins."""
    value: float = hp.Float(
        name,
        min(range_.low, first),
        max(range_.high, first),
        step=step,
        sampling="log" if range_.log else "linear",
        default=first,
    )
    return value
