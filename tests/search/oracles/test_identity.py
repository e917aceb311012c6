"""A search goes on only as the one that was begun."""

import cheap_search
import keras_tuner
import pytest

from keras_kd.search import Budget
from keras_kd.search.oracles import state
from keras_kd.search.oracles.making import ORACLES
from keras_kd.search.oracles.making import make_oracle

NAMES = list(ORACLES)


def space(**changes):
    hps = keras_tuner.HyperParameters()
    for hp in cheap_search.space().space:
        config = hp.get_config()
        config.pop("conditions")
        name = config["name"]
        if name in changes and changes[name] is None:
            continue
        hps.Float(**config | changes.get(name, {}))
    return hps


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"name": "bayesian"}, "oracle: was 'Random.*, is 'Bayesian"),
        ({"seed": 4}, "seed: was 3, is 4"),
        ({"budget": None}, "budget: was {'size_bytes': 500}, is None"),
        ({"budget": Budget(size_bytes=400)}, "is {'size_bytes': 400}"),
        (
            {"hyperparameters": space(alpha={"max_value": 0.9})},
            "'alpha': was Float.*max_value=1.0.*, is Float.*max_value=0.9",
        ),
    ],
    ids=["oracle", "seed", "no budget", "budget", "range"],
)
def test_another_search_is_refused(project, changes, match):
    with pytest.raises(ValueError, match=f"begun with other.*{match}"):
        cheap_search.tuner(folder=project, **changes)


def test_what_an_oracle_was_made_with_counts(tmp_path):
    tuner = cheap_search.tuner("bayesian", tmp_path, max_trials=2, beta=1.0)
    tuner.search(verbose=0)
    with pytest.raises(ValueError, match="beta: was 1.0, is 2.6"):
        cheap_search.tuner("bayesian", tmp_path)
    cheap_search.tuner("bayesian", tmp_path, beta=1.0, max_retries_per_trial=2)


def test_another_objective_is_refused(project):
    oracle = make_oracle(
        "random",
        objective="val_loss",
        max_trials=6,
        hyperparameters=space(),
        seed=None,
        budget=cheap_search.BUDGET,
    )
    with pytest.raises(ValueError, match="was .*'max'.*, is .*val_loss.*'min'"):
        cheap_search.CheapTuner(oracle, project)


@pytest.mark.parametrize("name", NAMES)
def test_new_hyperparameters_and_more_trials_are_taken_in(name, tmp_path):
    cheap_search.tuner(name, tmp_path, max_trials=3).search(verbose=0)
    larger = cheap_search.space()
    larger.Int("depth", 1, 3)
    tuner = cheap_search.tuner(
        name, tmp_path, max_trials=8, hyperparameters=larger
    )
    tuner.search(verbose=0)
    values = [t.hyperparameters.values for t in tuner.oracle.trials.values()]
    assert len(values) == 8
    assert not any("depth" in found for found in values[:3])
    assert all("depth" in found for found in values[4:])


def test_a_hyperparameter_that_is_gone_is_refused(project):
    oracle = cheap_search.oracle("random", hyperparameters=space(width=None))
    oracle._set_project_dir(project, "kd")
    oracle.update_space(keras_tuner.HyperParameters())
    with pytest.raises(ValueError, match="'width': was Float.*, is not there"):
        oracle.reload()


def test_a_hyperparameter_that_a_trial_brought_is_not_missed(tmp_path):
    tuner = cheap_search.tuner(folder=tmp_path, max_trials=2)
    run = tuner.run_trial

    def declaring(trial, **kwargs):
        trial.hyperparameters.Boolean("bias")
        return run(trial, **kwargs)

    tuner.run_trial = declaring
    tuner.search(verbose=0)
    oracle = cheap_search.oracle("random", 3)
    oracle.update_space(keras_tuner.HyperParameters())
    again = cheap_search.CheapTuner(oracle, tmp_path)
    assert "bias" in oracle.get_space()
    again.reload = again.oracle.reload
    again.reload()  # results, read once more
    again.search(verbose=0)
    assert len(oracle.trials) == 3


def test_a_project_of_keras_tuners_own_is_refused(tmp_path):
    plain = ORACLES["random"](objective="val_loss", max_trials=1)
    plain._set_project_dir(tmp_path, "kd")
    plain.save()
    with pytest.raises(RuntimeError, match="not made by `StudentTuner`"):
        cheap_search.tuner(folder=tmp_path)


def test_the_drawn_seed_is_kept(tmp_path):
    tuner = cheap_search.tuner(folder=tmp_path, seed=None, max_trials=2)
    tuner.search(verbose=0)
    again = cheap_search.tuner(folder=tmp_path, seed=None)
    assert again.oracle.seed == tuner.oracle.seed
    assert state.read_json(tmp_path / "kd" / "search.json")["seed"] == (
        tuner.oracle.seed
    )
