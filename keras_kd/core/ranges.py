"""The range a search draws an argument from."""

from dataclasses import dataclass

from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement


@dataclass(frozen=True)
class Range:
    """The numbers worth trying for an argument, both ends included.

    Attributes:
        low: Smallest value.
        high: Largest value, above `low`.
        log: Whether the range is sampled on a logarithmic scale, on which 1
            to 2 is as far as 8 to 16. Needs `low` above 0.

    Raises:
        TypeError: If a bound is not a number.
        ValueError: If `high` is not above `low`, or `low` is not above 0
            although `log` is set.

    Example:
    >>> from keras_kd.core.ranges import Range
    >>> Range(1, 16, log=True).high
    16
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if self.log:
            check_number("Range", "low", self.low, above=0)
        else:
            check_number("Range", "low", self.low)
        check_number("Range", "high", self.high)
        if self.high <= self.low:
            raise ValueError(
                requirement("Range", "high", f"above {self.low:g}", self.high)
            )
