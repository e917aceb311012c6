"""Oracles of a search: KerasTuner's proposals, and what a budget adds."""

import threading

import cheap_search
import keras_tuner
import numpy as np
import pytest
from keras_tuner.src.engine.trial import Trial

from keras_kd.search.oracles.making import ORACLES
from keras_kd.search.oracles.making import make_oracle

NAMES = list(ORACLES)


class PlainTuner(keras_tuner.Tuner):
    def run_trial(self, trial, *args, **kwargs):
        found = trial.hyperparameters.values
        return {"val_accuracy": cheap_search.accuracy(found)}


@pytest.mark.parametrize("name", NAMES)
def test_without_a_budget_the_proposals_are_keras_tuners(name, tmp_path):
    # Those of Bayesian search until its process is asked.
    arguments = {"hyperband": {"max_epochs": 4}}.get(name, {})
    plain = ORACLES[name](
        objective="val_accuracy",
        seed=3,
        hyperparameters=cheap_search.space(),
        **arguments,
    )
    plain.max_trials = 5
    made = cheap_search.oracle(name, 5, budget=None, **arguments)
    PlainTuner(oracle=plain, directory=tmp_path / "plain").search(verbose=0)
    cheap_search.search(made, tmp_path / "ours")
    assert cheap_search.values(made) == cheap_search.values(plain)
    assert [t.score for t in made.trials.values()] == [
        t.score for t in plain.trials.values()
    ]


def failing(oracle, folder, metric):
    tuner = cheap_search.CheapTuner(oracle, folder)
    tuner.run_trial = lambda *_, **__: {"val_accuracy": metric}
    return tuner


@pytest.mark.parametrize("metric", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_a_failure(metric, tmp_path):
    oracle = cheap_search.oracle("random")
    with pytest.raises(RuntimeError, match=f"(?s)3 trials failed.*is {metric}"):
        failing(oracle, tmp_path, metric).search(verbose=0)
    assert [t.status for t in oracle.trials.values()] == ["FAILED"] * 3
    # Repaired, it goes on; the failures stay on record.
    again = cheap_search.oracle("random")
    cheap_search.search(again, tmp_path)
    assert len(again.trials) == 14
    assert [t.status for t in again.trials.values()][:4] == [
        *["FAILED"] * 3,
        "COMPLETED",
    ]


def test_an_objective_that_is_not_logged_is_named(tmp_path):
    tuner = cheap_search.CheapTuner(
        cheap_search.oracle("random", budget=None), tmp_path
    )
    tuner.oracle.objective = keras_tuner.Objective("val_acuracy", "max")
    trial = tuner.oracle.create_trial("tuner0")
    with pytest.raises(
        keras_tuner.errors.FatalValueError,
        match="'val_acuracy' is not logged. Logged: loss, val_accuracy. Did "
        "you mean 'val_accuracy'",
    ):
        tuner.oracle.update_trial(
            trial.trial_id, {"val_accuracy": 1, "loss": 0}
        )


def test_the_last_worker_waits_while_another_trial_runs(tmp_path):
    oracle = cheap_search.oracle("random", 1)
    oracle._set_project_dir(tmp_path, "kd")
    oracle.verbose = 0
    first = oracle.create_trial("a")
    assert oracle.create_trial("b").status == "IDLE"
    assert oracle.release("a") == first.trial_id
    again = oracle.create_trial("b")
    assert again.trial_id == first.trial_id
    assert again.hyperparameters.values == first.hyperparameters.values
    assert not oracle.adopt("a", first.trial_id)
    oracle.update_trial(again.trial_id, {"val_accuracy": 0.5})
    again.status = "COMPLETED"
    oracle.end_trial(again)
    assert oracle.create_trial("b").status == "STOPPED"
    assert oracle.tuner_ids == set()


def test_a_worker_that_was_silent_goes_on_with_a_trial_nobody_took(tmp_path):
    oracle = cheap_search.oracle("random", 2)
    oracle._set_project_dir(tmp_path, "kd")
    oracle.verbose = 0
    trial = oracle.create_trial("a")
    assert oracle.adopt("a", trial.trial_id)
    oracle.release("a")
    assert oracle.adopt("a", trial.trial_id)
    assert oracle.create_trial("b").trial_id != trial.trial_id


def test_values_that_crossed_the_wire_stay_as_they_were(tmp_path):
    oracle = cheap_search.oracle("grid", 3)
    oracle._set_project_dir(tmp_path, "kd")
    oracle.verbose = 0
    trial = oracle.create_trial("a")
    before = trial.hyperparameters.get_config()
    sent = Trial.from_proto(trial.to_proto())
    sent.hyperparameters.values["alpha"] += 1e-7
    sent.hyperparameters.Int("units", 4, 8)
    oracle.update_trial("0", {"val_accuracy": 0.5})
    sent.status = "COMPLETED"
    oracle.end_trial(sent)
    after = oracle.get_trial("0").hyperparameters
    assert after.values == before["values"] | {"units": 4}
    assert after.get_config()["space"][:3] == before["space"]
    # Grid search looks the values up in lists; it can go on.
    assert oracle.create_trial("a").status == "RUNNING"


def test_an_error_leaves_no_lock_behind(tmp_path):
    oracle = cheap_search.oracle("random")
    oracle._set_project_dir(tmp_path, "kd")
    with pytest.raises(KeyError):
        oracle.update_trial("nobody", {"val_accuracy": 1.0})
    oracle.verbose = 0
    thread = threading.Thread(target=oracle.create_trial, args=("a",))
    thread.daemon = True
    thread.start()
    thread.join(5)
    assert len(oracle.trials) == 1


def test_hyperband_trains_as_long_as_the_search_says(tmp_path):
    def made(**kwargs):
        return make_oracle(
            "hyperband",
            objective="val_accuracy",
            max_trials=None,
            hyperparameters=cheap_search.space(),
            seed=0,
            budget=None,
            **kwargs,
        )

    oracle = made()
    oracle.set_epochs(5)
    cheap_search.search(oracle, tmp_path)
    epochs = {v["tuner/epochs"] for v in cheap_search.values(oracle)}
    # Factor 3: 5 epochs, and a third of it, rounded up.
    assert epochs == {5, 2}
    again = made()
    cheap_search.CheapTuner(again, tmp_path)
    again.set_epochs(5)
    with pytest.raises(ValueError, match="begun with epochs=5.*epochs=6"):
        again.set_epochs(6)
    given = made(max_epochs=4)
    given.set_epochs(5)
    assert given.max_epochs == 4


def test_an_oracle_of_ones_own(tmp_path):
    class Halves(keras_tuner.Oracle):
        def populate_space(self, trial_id):
            found = {"alpha": 0.5, "temperature": 2.0, "width": 0.5}
            return {"status": "RUNNING", "values": found}

    own = Halves(objective="val_accuracy", max_trials=2)
    oracle = cheap_search.oracle(own)
    assert oracle is own
    assert isinstance(oracle, Halves)
    cheap_search.search(oracle, tmp_path)
    assert [v["width"] for v in cheap_search.values(oracle)] == [0.5, 0.5]
    with pytest.raises(ValueError, match="takes none of its arguments.*beta"):
        cheap_search.oracle(own, beta=3.0)


def test_seed_0_is_a_seed():
    first, second = (
        cheap_search.oracle("bayesian", seed=0)._random_values()
        for _ in range(2)
    )
    assert first == second
    oracle = cheap_search.oracle("bayesian", seed=0)
    expected = np.random.RandomState(0).uniform(size=3)
    np.testing.assert_array_equal(
        oracle._random_state.uniform(size=3), expected
    )


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"name": "bayes"}, ValueError, "Did you mean 'bayesian'"),
        ({"name": None}, TypeError, "or a keras_tuner.Oracle"),
        ({"name": "random", "seed": -1}, ValueError, "seed=-1"),
        ({"name": "random", "max_trials": 0}, ValueError, "max_trials=0"),
        ({"name": "bayesian", "betta": 1}, ValueError, "mean 'beta'"),
        ({"name": "hyperband", "beta": 1}, ValueError, "no argument 'beta'"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_arguments(arguments, error, match):
    with pytest.raises(error, match=match):
        cheap_search.oracle(**arguments)
