"""Constrained scores: below every student that fits, and informative."""

import math

import numpy as np
import pytest
from keras_tuner.src.engine.trial import Trial

from keras_kd.search.oracles import scoring


def trial(violation=None, status="COMPLETED"):
    made = Trial(hyperparameters=None, trial_id="0", status=status)
    if violation is not None:
        made.metrics.update("violation", violation)
    return made


@pytest.mark.parametrize("direction", ["max", "min"])
def test_score_closed_form(direction):
    sign = 1.0 if direction == "max" else -1.0
    feasible = [sign * 0.5, sign * 0.9, sign * 0.7]
    violations = np.array([0.01, 0.25, 1.0, 3.0])
    expected = sign * (0.5 - 0.4 * (0.1 + violations / (1 + violations)))
    np.testing.assert_allclose(
        scoring.constrained_scores(feasible, violations, direction), expected
    )


@pytest.mark.parametrize("direction", ["max", "min"])
@pytest.mark.parametrize(
    "feasible",
    [[], [0.0], [0.93], [1e9, 1e9], [-1e-9, 1e-9], [0.1, 0.9]],
    ids=["none", "zero", "one", "equal", "tiny", "two"],
)
def test_below_the_feasible_and_falling_with_the_violation(feasible, direction):
    sign = 1.0 if direction == "max" else -1.0
    violations = [1e-6, 0.1, 1.0, 10.0, 1e4, math.inf]
    found = sign * np.array(
        scoring.constrained_scores(feasible, violations, direction)
    )
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()
    assert all(found[0] < sign * score for score in feasible)


def test_a_huge_violation_does_not_hide_the_differences():
    scores = scoring.constrained_scores([0.5, 0.9], [0.0001, 1e6], "max")
    assert 0.5 - min(scores) < 1.2 * (0.9 - 0.5)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (trial(), (0.0, True, False)),
        (trial(0.0), (0.0, True, False)),
        (trial(0.2), (0.2, False, True)),
        (trial(math.nan), (math.inf, False, True)),
        (trial(status="FAILED"), (0.0, False, False)),
        (trial(0.2, "RUNNING"), (0.2, False, False)),
    ],
    ids=["no budget", "fits", "over", "unknown", "failed", "running"],
)
def test_feasibility(made, expected):
    found = (
        scoring.violation(made),
        scoring.is_feasible(made),
        scoring.is_infeasible(made),
    )
    assert found == expected
