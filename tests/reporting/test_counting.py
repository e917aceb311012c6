"""The numbers of a report against numbers counted by hand."""

import numpy as np
import pytest

from keras_kd.reporting import counting


# Newcombe, 1998, Statistics in Medicine 17, 857-872, table I, method 3.
@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_the_published_one(hits, count, low, high):
    found = counting.wilson(hits / count, count)
    assert found == pytest.approx((low, high), abs=6e-5)


def test_the_interval_of_a_full_share_ends_at_1():
    low, high = counting.wilson(1.0, 10)
    assert low == pytest.approx(1 / (1 + 1.959964**2 / 10))
    assert high == pytest.approx(1.0)


def test_the_front_is_what_no_point_beats():
    generator = np.random.default_rng(0)
    points = generator.integers(0, 8, (40, 2)).tolist()

    def beaten(x, y):
        return any((a <= x and b >= y) and (a < x or b > y) for a, b in points)

    expected = sorted({(x, y) for x, y in points if not beaten(x, y)})
    found = [tuple(points[place]) for place in counting.front(points)]
    assert found == expected


def test_reliability_counts_by_confidence():
    # Two examples in the bin to 0.9, one at its upper edge; one in the last.
    confidence = np.array([0.84, 0.9, 0.96])
    bins = counting.reliability(confidence, np.array([True, False, True]))
    assert bins.counts.tolist() == [0] * 8 + [2, 1]
    assert bins.confidence[8:] == pytest.approx([0.87, 0.96])
    assert bins.accuracy[8:].tolist() == [0.5, 1.0]
    assert np.isnan(bins.accuracy[:8]).all()
    assert bins.error == pytest.approx((2 * 0.37 + 1 * 0.04) / 3)
    assert bins.bias == pytest.approx(0.9 - 2 / 3)


def test_errors_are_those_that_the_teacher_does_not_make():
    labels = np.array([0, 0, 1, 1, 2, 2])
    teacher = np.array([0, 0, 1, 0, 2, 0])
    student = np.array([0, 1, 2, 1, 2, 1])
    found = counting.errors(labels, teacher, student, 3)
    assert found.new.tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert found[1:] == (2, 1, 1)


# By hand: 2 * (1 + 5) / 2^5, and 2 * 1 / 2^6; equal counts are no difference.
@pytest.mark.parametrize(
    ("new", "mended", "chance"),
    [(4, 1, 0.375), (0, 6, 0.03125), (3, 3, 1.0), (0, 0, 1.0)],
)
def test_the_chance_of_a_difference_is_that_of_fair_coins(new, mended, chance):
    found = counting.Errors(np.zeros((2, 2)), new, mended, 9)
    assert found.chance == pytest.approx(chance)


def test_the_chance_of_many_differences_is_a_number():
    found = counting.Errors(np.zeros((2, 2)), 30_000, 29_000, 0)
    # Two-sided normal distribution at (30,000 - 29,000 - 1) / sqrt(59,000).
    assert found.chance == pytest.approx(3.92e-5, rel=0.01)


def test_distance_is_the_share_that_moves():
    teacher = np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]])
    student = np.array([[0.5, 0.2, 0.3], [0.0, 0.0, 1.0]])
    assert counting.distance(teacher, student) == pytest.approx([0.2, 1.0])


def test_an_envelope_keeps_every_peak():
    curve = np.array([0.0, 5.0, 0.0, -3.0, 1.0])
    assert counting.envelope(curve, 2).tolist() == [[0.0, 5.0], [-3.0, 1.0]]
    assert len(counting.envelope(curve, 100)) == 5
