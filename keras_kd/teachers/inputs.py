"""Selects the part of the data that a teacher or a student takes."""

from collections.abc import Callable
from typing import Any

from keras_kd.core.checks import nearest
from keras_kd.core.checks import requirement
from keras_kd.core.checks import show

InputChoice = str | Callable[[Any], Any] | None


def check_input_choice(how: Any, *, subject: str, argument: str) -> Any:
    """Return `how` if it is `None`, a key or a function.

    Raises:
        TypeError: If it is none of these.
    """
    if how is None or isinstance(how, str) or callable(how):
        return how
    raise TypeError(
        requirement(
            subject,
            argument,
            "a function of x, a key of a dict x, or None",
            how,
        )
    )


def choose_input(
    x: Any, how: InputChoice, *, subject: str, argument: str
) -> Any:
    """Return the part of `x` that one model takes.

    Args:
        x: A batch of inputs.
        how: A function of `x`, a key of a dict `x`, or `None` for all of it.
        subject: Class or function to name in the error.
        argument: Name of the user's argument, for the error.

    Raises:
        ValueError: If `how` is a key that `x` does not have.
    """
    if how is None:
        return x
    if not isinstance(how, str):
        return how(x)
    if not isinstance(x, dict):
        raise ValueError(
            f"`{subject}` needs data whose x is a dict, because "
            f"`{argument}` is a key. Received: {argument}={how!r} and x of "
            f"type {type(x).__name__}. Give a dict, or a function of x."
        )
    if how not in x:
        raise ValueError(
            f"`{subject}` needs `{argument}` to be a key of x, one of "
            f"{show(list(x))}. Received: {argument}={how!r}. "
            f"{nearest(how, x)}".rstrip()
        )
    return x[how]
