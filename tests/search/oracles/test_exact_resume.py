"""A killed search goes on as if it had not been."""

import json
import os
import random
import shutil

import cheap_search
import numpy as np
import pytest

from keras_kd.core import files
from keras_kd.search.oracles import generators
from keras_kd.search.oracles import state
from keras_kd.search.oracles.making import ORACLES

NAMES = list(ORACLES)
TRIALS = 11


@pytest.fixture
def copied(project, tmp_path):
    """A copy of it to damage."""

    return shutil.copytree(project, tmp_path / "copy")


@pytest.mark.parametrize(
    "generator",
    [
        np.random.RandomState(5),
        np.random.default_rng(5),
        np.random.Generator(np.random.MT19937(5)),
        __import__("random").Random(5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_generators_go_on_where_they_were(generator):
    class Holder:
        pass

    holder = Holder()
    holder.generator = generator
    name = "gauss" if isinstance(generator, random.Random) else "normal"
    draw = getattr(generator, name)
    draw(0.0, 1.0)  # an odd number: half of a pair is kept
    content = json.loads(json.dumps(generators.states(holder)))
    expected = [draw(0.0, 1.0) for _ in range(700)]
    generators.restore(holder, content)
    assert [draw(0.0, 1.0) for _ in range(700)] == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_search_killed_in_every_trial_is_the_same_search(name, tmp_path):
    tuner = cheap_search.tuner(name, tmp_path / "whole", max_trials=TRIALS)
    tuner.search(verbose=0)
    for number in range(100):
        oracle = cheap_search.oracle(name, TRIALS)
        other = cheap_search.CheapTuner(oracle, tmp_path / "killed")
        oracle.verbose = 0
        trial = oracle.create_trial("tuner0")
        if trial.status == "STOPPED":
            break
        if number % 3 == 0:
            continue  # killed while the trial ran
        other._try_run_and_update_trial(trial)
        if number % 3 == 1:
            continue  # killed between its metrics and its end
        other.on_trial_end(trial)
    assert cheap_search.outcome(oracle) == cheap_search.outcome(tuner.oracle)


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    "name", ["random", pytest.param("grid", marks=pytest.mark.slow)]
)
def test_killed_before_every_single_rename(name, tmp_path, monkeypatch):
    tuner = cheap_search.tuner(name, tmp_path / "whole", max_trials=4)
    tuner.search(verbose=0)
    replace = os.replace
    left = 0

    def fragile(source, target):
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        replace(source, target)

    for allowed in range(100):
        folder = tmp_path / str(allowed)
        left = allowed
        monkeypatch.setattr(os, "replace", fragile)
        try:
            cheap_search.tuner(name, folder, max_trials=4).search(verbose=0)
            break
        except Killed:
            monkeypatch.setattr(os, "replace", replace)
        oracle = cheap_search.oracle(name, 4)
        cheap_search.CheapTuner(oracle, folder).search(verbose=0)
        found = cheap_search.outcome(oracle)
        assert found == cheap_search.outcome(tuner.oracle), allowed
    # search.json; then, a trial: its file twice or thrice, the state twice.
    assert allowed > 4 * 5


def test_a_damaged_trial_file_is_named_and_the_search_kept(copied):
    before = cheap_search.outcome(cheap_search.tuner(folder=copied).oracle)
    damaged = copied / "kd" / "trial_2" / "trial.json"
    damaged.write_text(damaged.read_text()[:40])
    with pytest.warns(UserWarning, match="1 damaged trial file.*trial_2"):
        tuner = cheap_search.tuner(folder=copied)
    assert cheap_search.outcome(tuner.oracle) == before
    assert not damaged.exists()
    assert (damaged.parent / "trial.json.corrupt").exists()
    tuner.search(verbose=0)
    assert len(tuner.oracle.trials) == 6


def test_from_the_state_before_the_last_trial_is_done_again(copied, project):
    whole = cheap_search.tuner(folder=project).oracle
    path = copied / "kd" / "oracle.json"
    path.write_text("")
    with pytest.warns(UserWarning, match="state before it"):
        tuner = cheap_search.tuner(folder=copied, max_trials=5)
    # The folder has checkpoints of trial 4; its values are the same.
    kept = copied / "kd" / "trial_4" / "checkpoint"
    kept.touch()
    tuner.search(verbose=0)
    assert cheap_search.outcome(tuner.oracle) == cheap_search.outcome(whole)
    assert kept.exists()


def test_remains_of_another_trial_are_cleared(copied):
    remains = copied / "kd" / "trial_5"
    remains.mkdir()
    content = state.read_json(copied / "kd" / "trial_4" / "trial.json")
    (remains / "trial.json").write_text(json.dumps(content))
    (remains / "checkpoint").touch()
    cheap_search.tuner(folder=copied).search(verbose=0)
    assert not (remains / "checkpoint").exists()
    values = state.read_json(remains / "trial.json")["hyperparameters"]
    assert values != content["hyperparameters"]


def test_one_write_a_call(tmp_path, monkeypatch):
    oracle = cheap_search.oracle("grid")
    oracle._set_project_dir(tmp_path, "kd")
    oracle.verbose = 0
    written = []
    monkeypatch.setattr(
        state,
        "write_text",
        lambda path, text: (
            written.append(path.name) or files.write_text(path, text)
        ),
    )
    trial = oracle.create_trial("tuner0")
    oracle.update_trial(trial.trial_id, {"val_accuracy": 0.5})
    trial.status = "COMPLETED"
    oracle.end_trial(trial)
    assert written == [
        *["trial.json", "search.json", "oracle.json"],
        *["trial.json", "trial.json", "oracle.json"],
    ]
