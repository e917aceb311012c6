"""Trials that go on from others, as Hyperband's later rounds do."""

from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from small_searches import data
from small_searches import dense
from small_searches import make_tuner

import keras_kd
from keras_kd.search.trials.running import trial_seed
from keras_kd.search.trials.snapshots import Snapshot

X, Y = data()
VALUES = {"alpha": 0.5, "temperature": 3.0, "width": 0.5}


class TwoRounds(keras_tuner.Oracle):
    """Two epochs, and two more of the same trial."""

    def populate_space(self, trial_id):
        rounds = [
            {"tuner/epochs": 2, "tuner/initial_epoch": 0},
            {
                "tuner/epochs": 4,
                "tuner/initial_epoch": 2,
                "tuner/trial_id": "0",
            },
        ]
        if int(trial_id) > 1:
            return {"status": "STOPPED"}
        return {"status": "RUNNING", "values": VALUES | rounds[int(trial_id)]}


def build(width):
    return dense(round(16 * width), dropout=0.3)


@pytest.mark.slow
def test_a_second_round_goes_on_where_the_first_ended(tmp_path):
    """Two rounds of two epochs are four epochs, optimizer and dropout too."""
    pipeline = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    tuner = make_tuner(
        tmp_path, build=build, tuner=TwoRounds("val_loss", max_trials=5, seed=5)
    )
    tuner.search(pipeline, validation_data=(X, Y), epochs=99, verbose=0)
    assert [c.status for c in tuner.results] == ["feasible", "feasible"]
    folder = Path(tuner.project_dir)
    first, second = (
        Snapshot.load(folder / f"trial_{number}" / "execution_0.npz")
        for number in (0, 1)
    )
    assert [epoch["epoch"] for epoch in first.logs] == [0, 1]
    assert [epoch["epoch"] for epoch in second.logs] == [2, 3]

    cache = keras_kd.TeacherCache.open(folder / "teacher_cache")
    keras.utils.set_random_seed(trial_seed(VALUES, 5, 0))
    student = build(0.5)
    by_hand = keras_kd.Distiller(cache, student, alpha=0.5, temperature=3.0)
    by_hand.compile(
        "adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    history = by_hand.fit(
        cache.join(pipeline), validation_data=(X, Y), epochs=4, verbose=0
    ).history
    logged = [e["val_loss"] for e in [*first.logs, *second.logs]]
    np.testing.assert_allclose(logged, history["val_loss"], rtol=1e-6)
    for variable, mine in zip(by_hand.variables, second.now, strict=False):
        np.testing.assert_allclose(mine, variable, atol=1e-6)


def test_a_first_round_that_is_gone_is_an_error(tmp_path):
    class Later(TwoRounds):
        def populate_space(self, trial_id):
            response = super().populate_space("1")
            response["values"]["tuner/trial_id"] = "7"
            return response

    tuner = make_tuner(
        tmp_path,
        build=build,
        tuner=Later("val_loss", max_trials=1, max_consecutive_failed_trials=5),
    )
    tuner.search(X, Y, validation_data=(X, Y), epochs=4, verbose=0)
    (candidate,) = tuner.results
    assert candidate.status == "failed"
    assert "No state of trial 7" in candidate.reason


@pytest.mark.slow
def test_hyperband_promotes_and_continues(tmp_path):
    tuner = make_tuner(
        tmp_path,
        build=build,
        tuner="hyperband",
        factor=2,
        max_trials=30,
        budget=keras_kd.Budget(num_params=150),
    )
    tuner.search(X, Y, validation_data=(X, Y), epochs=2, verbose=0)
    found = tuner.results
    assert {c.status for c in found} <= {"feasible", "infeasible"}
    promoted = [c for c in found if "tuner/trial_id" in c.values]
    assert promoted
    by_id = {c.trial_id: c for c in found}
    for candidate in promoted:
        former = by_id[candidate.values["tuner/trial_id"]]
        assert former.status == candidate.status == "feasible"
        own = {k: v for k, v in former.values.items() if "tuner/" not in k}
        assert own.items() <= candidate.values.items()
    assert tuner.best_student().count_params() <= 150
