"""Parses sizes, times and counts with units: 50kB, 2ms, 1.5M."""

import re
from typing import Any

from keras_kd.core.checks import check_number
from keras_kd.core.checks import nearest
from keras_kd.core.checks import requirement

# In the order in which messages list them. As in file managers and data
# sheets, kB, MB and GB are decimal; KiB, MiB and GiB are binary.
BYTES = {
    "B": 1.0,
    "kB": 1e3,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
}
MILLISECONDS = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}
COUNT = {"k": 1e3, "M": 1e6, "G": 1e9}

# A comma is not accepted: it is a decimal point in some countries only.
_QUANTITY = re.compile(
    r"\s*((?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\d\s]*)\s*"
)


def quantity(
    subject: str, argument: str, value: Any, units: dict[str, float]
) -> float:
    """Parse a quantity greater than 0 from a number or text with a unit.

    Args:
        subject: Class or function to name in error messages.
        argument: Name of the argument.
        value: A number of bytes, milliseconds or things, depending on
            `units`; or text such as `"50kB"`.
        units: One of the tables above: factor by unit.

    Raises:
        TypeError: If `value` is neither a number nor text.
        ValueError: If the text has no number or an unknown unit, or if the
            number is not greater than 0.
    """
    if not isinstance(value, str):
        return check_number(subject, argument, value, above=0)
    found = _QUANTITY.fullmatch(value)
    unit = found[2] if found else ""
    if not found or (unit and unit not in units):
        raise ValueError(
            requirement(
                subject,
                argument,
                f"a number, with or without one of {', '.join(units)}",
                value,
                nearest(unit, units),
            )
        )
    number = float(found[1]) * units.get(unit, 1.0)
    return check_number(subject, argument, number, above=0)
