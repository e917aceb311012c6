"""Widths times a multiplier, as whole numbers of channels."""

from math import lcm


def scaled(count: int, width: float, multiple: int = 1) -> int:
    """Scale a width: the nearest multiple, and never less than one of it.

    >>> scaled(64, 0.3), scaled(64, 0.3, multiple=8), scaled(3, 0.1)
    (19, 16, 1)
    """
    return multiple * max(1, round(width * count / multiple))


def divisible(count: float, multiple: int = 8) -> int:
    """Round a width as the MobileNets do.

    To the nearest multiple, at least one of it, and one more where that
    would take away more than a tenth.

    >>> divisible(32 * 0.35), divisible(24 * 0.5), divisible(18)
    (16, 16, 24)
    """
    near = max(multiple, int(count + multiple / 2) // multiple * multiple)
    return near + multiple if near < 0.9 * count else near


def rounded(count: int, width: float, multiple: int, even: int = 1) -> int:
    """Scale a width, to a multiple where the teacher's width is one.

    As the MobileNets round: to the nearest multiple, and one more where that
    would take away more than a tenth. A width that comes to less than twice
    the multiple is rounded to an integer, at least 1: a step of 8 is too
    coarse where it is half of what is there.

    Args:
        count: The teacher's width.
        width: Multiplier.
        multiple: Number that hardware works best with.
        even: Number that the width has to be a multiple of.

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
