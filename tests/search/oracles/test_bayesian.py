"""Bayesian search: nothing twice, nothing over budget, near the optimum."""

import cheap_search
import keras_tuner
import numpy as np
import pytest
from exhaustive import rest_when_asked

from keras_kd.search.oracles import scoring


def small_space():
    hps = keras_tuner.HyperParameters()
    hps.Choice("alpha", [0.5, 0.7, 0.9])
    hps.Fixed("temperature", 5.0)
    hps.Choice("width", [0.25, 0.5, 0.75, 1.0])
    return hps


@pytest.mark.slow
def test_a_small_space_is_tried_in_full_and_nothing_twice(tmp_path):
    oracle = cheap_search.oracle(
        "bayesian", 40, hyperparameters=small_space(), num_initial_points=3
    )
    cheap_search.search(oracle, tmp_path)
    values = cheap_search.values(oracle)
    tried = [(v["alpha"], v["width"]) for v in values]
    assert len(set(tried)) == len(tried) == 12


def test_what_fits_is_tried_first(tmp_path):
    oracle = cheap_search.oracle(
        "bayesian", 12, hyperparameters=small_space(), num_initial_points=6
    )
    cheap_search.search(oracle, tmp_path)
    fits = [v["width"] <= 0.5 for v in cheap_search.values(oracle)]
    left = 6 - sum(fits[:6])
    assert all(fits[6 : 6 + left])
    assert not any(fits[6 + left :])


@pytest.mark.slow
@pytest.mark.parametrize("seed", rest_when_asked([3, 1003, 2003], [3]))
def test_the_best_student_that_fits_is_found(seed, tmp_path):
    oracle = cheap_search.oracle("bayesian", 25, seed=seed)
    cheap_search.search(oracle, tmp_path)
    best = oracle.get_best_trials()[0]
    exact = cheap_search.accuracy(
        {"alpha": 0.7, "width": 0.5, "temperature": 5.0}
    )
    assert best.hyperparameters.values["width"] <= 0.5
    # A step of the width is 0.019.
    assert exact - best.score < 0.03


def test_a_running_trial_is_not_proposed_to_another_worker(tmp_path):
    oracle = cheap_search.oracle("bayesian", 12, num_initial_points=6)
    tuner = cheap_search.CheapTuner(oracle, tmp_path)
    for _ in range(8):
        trial = oracle.create_trial("one")
        metrics = tuner.run_trial(trial)
        oracle.update_trial(trial.trial_id, metrics)
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    first, second = oracle.create_trial("one"), oracle.create_trial("two")
    assert first.hyperparameters.values != second.hyperparameters.values
    places = [
        oracle._place(trial.hyperparameters.values) for trial in (first, second)
    ]
    # As one that is expected to end badly, it sends the other elsewhere.
    assert np.abs(np.subtract(*places)).max() > 0.02


def test_costs_are_learned_in_relation_to_their_limit(tmp_path):
    oracle = cheap_search.oracle("bayesian", 10)
    cheap_search.search(oracle, tmp_path)
    for trial in oracle.trials.values():
        width = trial.hyperparameters.values["width"]
        exact = np.log(cheap_search.BYTES * width / 500)
        assert oracle._log_cost(trial) == pytest.approx(exact, abs=1e-6)
        assert scoring.is_infeasible(trial) == (exact > 0)
