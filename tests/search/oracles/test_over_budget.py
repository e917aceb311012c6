"""Students over budget: no failure, never the best, and learned from."""

import cheap_search
import pytest

from keras_kd.search import Budget
from keras_kd.search import OverBudgetError
from keras_kd.search.oracles import scoring
from keras_kd.search.oracles.making import ORACLES

NAMES = list(ORACLES)


@pytest.mark.parametrize("name", NAMES)
def test_students_over_budget_are_complete_but_never_the_best(name, tmp_path):
    made = cheap_search.search(cheap_search.oracle(name, 11), tmp_path).oracle
    trials = list(made.trials.values())
    # Hyperband's rounds for 6 epochs are 10 trials.
    assert len(trials) == (10 if name == "hyperband" else 11)
    assert {trial.status for trial in trials} == {"COMPLETED"}
    over = [t for t in trials if t.hyperparameters.values["width"] > 0.5]
    fit = [t for t in trials if t.hyperparameters.values["width"] <= 0.5]
    assert over
    assert fit
    best = made.get_best_trials(100)
    assert best == sorted(fit, key=lambda trial: -trial.score)
    assert max(t.score for t in over) < min(t.score for t in fit)
    for trial in over:
        size = 1000 * trial.hyperparameters.values["width"]
        share = size / 500 - 1
        assert scoring.violation(trial) == pytest.approx(share)
        assert "is above the budget's 500" in trial.message
        assert f"size_bytes {size:.4g}" in trial.message.replace(",", "")
    larger = sorted(over, key=lambda t: t.hyperparameters.values["width"])
    assert [t.score for t in larger] == sorted(
        (t.score for t in over), reverse=True
    )


@pytest.mark.slow
def test_bayesian_search_learns_to_stay_within_the_budget(tmp_path):
    oracle = cheap_search.oracle("bayesian", 16, num_initial_points=8)
    made = cheap_search.search(oracle, tmp_path).oracle
    # By chance a half is over.
    proposed = [v["width"] > 0.5 for v in cheap_search.values(made)[8:]]
    assert sum(proposed) <= 2
    assert made.get_best_trials()[0].hyperparameters.values["width"] >= 0.375


def test_hyperband_promotes_no_student_over_budget_while_one_fits(tmp_path):
    made = cheap_search.search(
        cheap_search.oracle("hyperband", 40, max_epochs=9), tmp_path
    ).oracle
    promoted = {
        v["tuner/trial_id"]: v
        for v in cheap_search.values(made)
        if "tuner/trial_id" in v
    }
    assert promoted
    for of in promoted.values():
        rest = [
            trial
            for trial in made.trials.values()
            if trial.hyperparameters.values["tuner/bracket"]
            == of["tuner/bracket"]
            and trial.hyperparameters.values["tuner/round"]
            == of["tuner/round"] - 1
            and trial.trial_id not in promoted
        ]
        if of["width"] > 0.5:
            assert not any(scoring.is_feasible(trial) for trial in rest)


@pytest.mark.parametrize("name", ["random", "bayesian", "hyperband"])
def test_a_budget_nothing_can_meet_is_said_after_the_first_round(
    name, tmp_path
):
    oracle = cheap_search.oracle(name, 40, budget=Budget(size_bytes=50))
    with pytest.raises(
        OverBudgetError,
        match=r"all 10 of the first round.*width=0.0625: size_bytes 62.5 is "
        r"above the budget's 50 \(25 % over\).*Raise the budget",
    ) as caught:
        cheap_search.search(oracle, tmp_path)
    assert caught.value.measurement.size_bytes == 62
    assert caught.value.violation == pytest.approx(0.25)
    assert len(oracle.trials) == 10
    # The third trial looks for the smallest student there is.
    assert cheap_search.values(oracle)[2]["width"] == 0.0625
    again = cheap_search.oracle(name, 40, budget=Budget(size_bytes=50))
    with pytest.raises(OverBudgetError, match="all 10 of the first round"):
        cheap_search.search(again, tmp_path)
    assert len(again.trials) == 10


def test_grid_search_tries_everything_before_it_gives_up(tmp_path):
    oracle = cheap_search.oracle("grid", 17, budget=Budget(size_bytes=50))
    with pytest.raises(OverBudgetError, match="all 17 of the search"):
        cheap_search.search(oracle, tmp_path)


def test_a_budget_that_only_the_smallest_meets_is_met(tmp_path):
    oracle = cheap_search.oracle("random", 12, budget=Budget(size_bytes=63))
    cheap_search.search(oracle, tmp_path)
    best = oracle.get_best_trials()[0].hyperparameters.values
    assert best["width"] == 0.0625
    # What does not shape the student stays as it was drawn.
    assert best["alpha"] in [
        v["alpha"] for v in cheap_search.values(oracle)[:2]
    ]


def test_a_student_over_budget_does_not_interrupt_a_row_of_failures(tmp_path):
    oracle = cheap_search.oracle("random")
    tuner = cheap_search.CheapTuner(oracle, tmp_path)
    results = iter([{}, {"violation": 2.0}, {}, {"violation": 1.0}, {}])
    tuner.run_trial = lambda *_, **__: (
        {"val_accuracy": 0.0, **found} if (found := next(results)) else 1 / 0
    )
    with pytest.raises(RuntimeError, match="(?s)3 trials failed.*ZeroDivision"):
        tuner.search(verbose=0)
