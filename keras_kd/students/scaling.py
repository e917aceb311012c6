"""Scales widths by a multiplier and rounds them to whole channels."""

from math import lcm


def scaled(count: int, width: float, multiple: int = 1) -> int:
    """Scale a width and round it to the nearest multiple, at least one.

    >>> scaled(64, 0.3), scaled(64, 0.3, multiple=8), scaled(3, 0.1)
    (19, 16, 1)
    """
    return multiple * max(1, round(width * count / multiple))


def divisible(count: float, multiple: int = 8) -> int:
    """Round a width as the MobileNets do.

    The result is the nearest multiple, and at least one multiple. If that is
    more than a tenth below `count`, it is one multiple more.

    >>> divisible(32 * 0.35), divisible(24 * 0.5), divisible(18)
    (16, 16, 24)
    """
    near = max(multiple, int(count + multiple / 2) // multiple * multiple)
    return near + multiple if near < 0.9 * count else near


def rounded(count: int, width: float, multiple: int, even: int = 1) -> int:
    """Scale a teacher's width, to a multiple if the teacher's width is one.

    Rounds as `divisible` does. If the scaled width is less than twice the
    multiple, it is rounded to an integer instead, at least 1: steps of 8 are
    too coarse for a width below 16.

    Args:
        count: The teacher's width.
        width: Multiplier.
        multiple: Preferred divisor of the result, for the hardware's sake.
        even: Required divisor of the result, if it divides `count`.

    >>> [rounded(64, width, 8) for width in (1, 0.5, 0.3, 0.1)]
    [64, 32, 24, 6]
    >>> rounded(60, 0.5, 8), rounded(64, 0.3, 1)
    (30, 19)
    """
    even = even if count % even == 0 else 1
    whole = lcm(multiple, even)
    if count % whole == 0 and width * count >= 2 * whole:
        return min(count, divisible(width * count, whole))
    return scaled(count, width, even)
