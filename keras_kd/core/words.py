"""Numbers and counts as tables and sentences word them."""


def number(value: float) -> str:
    """Format a number with three digits; counts are given in whole.

    No measurement here repeats itself more precisely.

    Example:
    >>> from keras_kd.core.words import number
    >>> number(0.12345), number(1234567), number(1234.5), number(-0.0)
    ('0.123', '1,234,567', '1,234', '0')
    """
    if isinstance(value, int) or abs(value) >= 99.95:
        return f"{value:,.0f}"
    return f"{value + 0.0:.3g}"  # no -0


def counted(count: int, one: str, more: str | None = None) -> str:
    """Format a count with its noun.

    Example:
    >>> from keras_kd.core.words import counted
    >>> counted(1, "trial"), counted(1200, "trial")
    ('1 trial', '1,200 trials')
    """
    return f"{count:,} {one if count == 1 else more or one + 's'}"
