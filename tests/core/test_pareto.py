"""The front and the knee, against slower and geometric routes."""

import numpy as np
import pytest

from keras_kd.core.pareto import front
from keras_kd.core.pareto import knee


def sweep(points):
    """The front of two costs: walk up the first, keep each new low."""
    kept, lowest = [], np.inf
    for point in sorted(set(points)):
        if point[1] < lowest:
            kept.append(point)
            lowest = point[1]
    return kept


@pytest.mark.parametrize("seed", range(5))
def test_the_front_of_two_costs_is_what_a_sweep_finds(seed):
    table = np.random.default_rng(seed).integers(0, 12, (40, 2))
    points = [tuple(map(int, row)) for row in table]
    assert [points[row] for row in front(points)] == sweep(points)


def test_no_point_of_a_front_of_three_costs_is_beaten_and_all_others_are():
    points = np.random.default_rng(0).integers(0, 6, (60, 3))
    kept = front(points)
    for row, point in enumerate(points):
        beaten = any(
            (points[other] <= point).all() and (points[other] < point).any()
            for other in range(len(points))
        )
        assert beaten != (tuple(point) in {tuple(points[k]) for k in kept}), row


def test_of_equal_points_the_first_is_kept():
    assert front([(2, 2), (1, 3), (2, 2), (1, 3)]) == [1, 0]


def test_the_knee_is_farthest_from_the_line_through_the_ends():
    """Distance to the chord by the cross product, in scaled coordinates."""
    generator = np.random.default_rng(3)
    for _ in range(20):
        x = np.sort(generator.uniform(1, 100, 8))
        y = np.sort(generator.uniform(0, 1, 8))[::-1]
        scaled = np.stack(
            [(x - x[0]) / (x[-1] - x[0]), (y - y[-1]) / (y[0] - y[-1])], 1
        )
        chord = scaled[-1] - scaled[0]
        offset = scaled - scaled[0]
        below = offset[:, 1] * chord[0] - offset[:, 0] * chord[1]
        assert knee(np.stack([x, y], 1)) == below.argmin()


def test_the_knee_of_one_point_is_that_point():
    assert knee([(5, 0.1)]) == 0


def test_a_cost_that_is_the_same_everywhere_does_not_count():
    assert knee([(7, 1, 0.30), (7, 2, 0.12), (7, 10, 0.10)]) == 1
