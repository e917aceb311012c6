"""Argument checks, and the sentence form that all errors share.

`SoftTargets` needs `temperature` to be a number greater than 0.
Received: temperature=-1. Use 2 to 6 for most classifiers.
"""

import difflib
import math
import numbers
from collections.abc import Iterable
from typing import Any


def requirement(
    subject: str,
    argument: str,
    expected: str,
    received: Any,
    advice: str = "",
) -> str:
    """Return an error message: what is needed, what came, what to do."""
    sentence = (
        f"`{subject}` needs `{argument}` to be {expected}. "
        f"Received: {argument}={show(received)}."
    )
    return f"{sentence} {advice}" if advice else sentence


def show(value: Any) -> str:
    """Format a value for an error message.

    Models and layers are shown by name, shapes as plain tuples; long values
    are truncated.
    """
    name = getattr(value, "name", None)
    if isinstance(name, str) and hasattr(value, "get_config"):
        return f"<{type(value).__name__} {name}>"
    if isinstance(value, (tuple, list)):
        inner = ", ".join(show(item) for item in value)
        if isinstance(value, list):
            return f"[{inner}]"
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "..."


def check_number(
    subject: str,
    argument: str,
    value: Any,
    *,
    above: float | None = None,
    low: float | None = None,
    high: float | None = None,
    advice: str = "",
) -> float:
    """Return `value` as a float; NaN is outside every interval.

    Args:
        subject: Class or function to name in the error.
        argument: Name of the argument.
        value: The value to check.
        above: Exclusive lower bound.
        low: Inclusive lower bound.
        high: Inclusive upper bound.
        advice: What the user can do; added to the message.

    Raises:
        TypeError: If `value` is not a real number.
        ValueError: If it is NaN, infinite, or outside the bounds.
    """
    bounds = []
    if above is not None:
        bounds.append(f"greater than {above:g}")
    if low is not None and high is not None:
        bounds.append(f"between {low:g} and {high:g}")
    elif low is not None:
        bounds.append(f"at least {low:g}")
    elif high is not None:
        bounds.append(f"at most {high:g}")
    expected = "a finite number " + " and ".join(bounds)
    message = requirement(subject, argument, expected.strip(), value, advice)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(message)
    number = float(value)
    inside = (
        math.isfinite(number)
        and (above is None or number > above)
        and (low is None or number >= low)
        and (high is None or number <= high)
    )
    if not inside:
        raise ValueError(message)
    return number


def check_integer(
    subject: str, argument: str, value: Any, *, low: int, advice: str = ""
) -> int:
    """Return `value` as an int of at least `low`.

    Raises:
        TypeError: If `value` is not an integer.
        ValueError: If it is below `low`.
    """
    message = requirement(
        subject, argument, f"an integer of at least {low}", value, advice
    )
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(message)
    if value < low:
        raise ValueError(message)
    return int(value)


def check_choice(
    subject: str, argument: str, value: Any, choices: Iterable[Any]
) -> Any:
    """Return `value` if it is one of `choices`.

    Raises:
        ValueError: Lists the valid choices and the nearest match.
    """
    choices = list(choices)
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(
            requirement(
                subject,
                argument,
                f"one of {listed}",
                value,
                nearest(value, choices),
            )
        )
    return value


def nearest(value: Any, choices: Iterable[Any]) -> str:
    """Return "Did you mean ...?" with the nearest other name, or ""."""
    names = [c for c in choices if isinstance(c, str) and c != value]
    close = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else ""
