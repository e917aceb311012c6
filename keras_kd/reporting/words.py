"""Numbers and sentences as a report words them."""

from collections.abc import Sequence

from keras_kd.core.words import counted as counted
from keras_kd.core.words import number as number


def percent(value: float) -> str:
    """Format a share with one decimal.

    Example:
    >>> from keras_kd.reporting.words import percent
    >>> percent(0.9725)
    '97.2%'
    """
    return f"{value:.1%}"


def points(difference: float) -> str:
    """Format a difference of shares, in percentage points.

    Example:
    >>> from keras_kd.reporting.words import points
    >>> points(0.012), points(0.01)
    ('1.2 points', '1.0 points')
    """
    return f"{abs(100 * difference):.1f} points"


def size(value: float) -> str:
    """Format a number of bytes in a unit of its size.

    Example:
    >>> from keras_kd.reporting.words import size
    >>> size(980), size(34_120), size(1_200_000)
    ('980 bytes', '34.1 kB', '1.2 MB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{number(value / factor)} {unit}"
    return f"{value:.0f} bytes"


def milliseconds(value: float) -> str:
    """Format a time in milliseconds."""
    return f"{number(float(value))} ms"


def listed(names: Sequence[str]) -> str:
    """Join names as a sentence does.

    Example:
    >>> from keras_kd.reporting.words import listed
    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
