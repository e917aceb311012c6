"""The Pareto front of trials, and its knee."""

from collections.abc import Sequence

import numpy as np


def front(costs: Sequence[Sequence[float]]) -> list[int]:
    """Return the points that no other point beats, by rising first cost.

    A point is beaten when another point is no larger in any cost and smaller
    in at least one. Of equal points the first is kept. The time is quadratic
    in the number of points.

    Args:
        costs: One row per point, one column per cost; smaller is better.

    Returns:
        Row numbers.

    Example:
    >>> from keras_kd.core.pareto import front
    >>> front([(3, 0.1), (1, 0.3), (2, 0.3), (2, 0.2), (3, 0.1)])
    [1, 3, 0]
    """
    table = np.asarray(costs, float)
    kept = []
    for row, point in enumerate(table):
        no_worse = (table <= point).all(axis=1)
        better = no_worse & (table < point).any(axis=1)
        equal = (table[:row] == point).all(axis=1)
        if not better.any() and not equal.any():
            kept.append(row)
    return sorted(kept, key=lambda row: tuple(table[row]))


def knee(costs: Sequence[Sequence[float]]) -> int:
    """Return the knee of a front, its best compromise between the costs.

    The costs are scaled to 0 to 1 over the front. The knee is the point
    farthest below the plane through the front's ends, that is, the point
    with the smallest sum.

    Reference:
        Das 1999, On characterizing the "knee" of the Pareto curve,
        Structural Optimization 18, 107-115.

    Args:
        costs: The front: one row per point, one column per cost.

    Returns:
        A row number; of equal points, the first.

    Example:
    >>> from keras_kd.core.pareto import knee
    >>> knee([(1, 0.30), (2, 0.12), (10, 0.10)])
    1
    """
    table = np.asarray(costs, float)
    low, high = table.min(axis=0), table.max(axis=0)
    spread = np.where(high > low, high - low, 1.0)
    return int(((table - low) / spread).sum(axis=1).argmin())
