"""The factors of the examples, from the outputs of a Distiller's models."""

from collections.abc import Mapping
from typing import Any

from keras_kd.core.checks import show
from keras_kd.core.output_kinds import by_name
from keras_kd.core.output_kinds import is_classes
from keras_kd.core.taps import Tapped
from keras_kd.losses import DistillationLoss
from keras_kd.losses import weighting

Kinds = Mapping[Any, str | None]


def weighted(
    loss: DistillationLoss,
    values: Any,
    key: Any,
    models: tuple[Tapped, Tapped],
    labels: Any,
    kinds: Kinds,
) -> Any:
    """Multiply the values of a loss by the factors of their examples.

    Args:
        loss: The loss.
        values: Its values, `(batch, ...)`.
        key: Name or index of the output that was compared, or `None`.
        models: The teacher's and the student's outputs.
        labels: The output's labels in their normal form, or `None`.
        kinds: The kind of each of the student's outputs.

    Raises:
        ValueError: If logits or labels are missing.
    """
    if not weighting.is_weighted(loss):
        return values
    logits = checked_logits(loss, key, models, kinds)
    factors = weighting.factors(loss, logits, labels)
    return weighting.weighted(values, factors)


def checked_logits(
    loss: DistillationLoss,
    key: Any,
    models: tuple[Tapped, Tapped],
    kinds: Kinds,
) -> Any:
    """Return the teacher's logits that weight the examples of a loss.

    Args:
        loss: A loss whose examples have factors.
        key: Name or index of the output that was compared, or `None`.
        models: The teacher's and the student's outputs.
        kinds: The kind of each of the student's outputs.

    Returns:
        `(batch, ..., classes)`, or `None` if `weighting` needs none.

    Raises:
        ValueError: If it is open which output counts, the output is not
            about classes, there is not one count for each class, or the
            teacher gives no logits.
    """
    asked = weighting.needs_classes(loss)
    teacher, student = (by_name(tapped.logits) for tapped in models)
    key = loss.output_name if key is None else key
    if key is None and len(student) == 1:
        (key,) = student
    if key not in student:
        raise ValueError(
            f"`{loss.name}` needs `output` to name the output whose logits "
            "and labels weight the examples, one of "
            f"{show(list(student))}. Received: output={key!r}."
        )
    if asked and not is_classes(kinds.get(key) or "logits"):
        raise ValueError(
            f"`{loss.name}` needs an output of classes for `{asked[0]}`. "
            f"Received: an output of kind {kinds[key]!r}. Leave the argument "
            "out; a function as `weighting` gets any output."
        )
    classes = student[key].shape[-1]
    balance = loss.class_balance
    if balance is not None and len(balance.counts) != classes:
        raise ValueError(
            f"`{loss.name}` needs `class_balance` to have one count for each "
            f"of the {classes} classes. Received: {len(balance.counts)} counts."
        )
    if loss.weighting is None:
        return None
    if len(teacher) == 1:
        (key,) = teacher
    if teacher.get(key) is None:
        raise ValueError(
            f"`{loss.name}` needs the teacher's logits for `weighting`. "
            "Received: a teacher without them. Build the cache from a model "
            "that returns logits, or leave `weighting` out."
        )
    return teacher[key]
