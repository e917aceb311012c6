"""Numbers and sentences as a report words them."""

from collections.abc import Sequence


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


def number(value: float) -> str:
    """Format a number with three digits; counts are given in whole.

    Example:
    >>> from keras_kd.reporting.words import number
    >>> number(0.12345), number(1234567), number(1234.5), number(-0.0)
    ('0.123', '1,234,567', '1,234', '0')
    """
    if isinstance(value, int) or abs(value) >= 99.95:
        return f"{value:,.0f}"
    return f"{value + 0.0:.3g}"  # no -0


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


def counted(count: int, one: str, more: str | None = None) -> str:
    """Format a count with its noun.

    Example:
    >>> from keras_kd.reporting.words import counted
    >>> counted(1, "trial"), counted(1200, "trial")
    ('1 trial', '1,200 trials')
    """
    return f"{count:,} {one if count == 1 else more or one + 's'}"
