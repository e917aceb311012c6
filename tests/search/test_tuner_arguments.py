"""Arguments of a search: what is refused, and what is left alone."""

import sys
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
from keras_kd.search.oracles import state
from keras_kd.search.trials import running

pytestmark = pytest.mark.untraced

X, Y = data()


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"budget": 5}, TypeError, "`budget` to be a Budget. Received: budget"),
        ({"max_trials": 0}, ValueError, "`max_trials` to be an integer"),
        ({"executions_per_trial": 0}, ValueError, "`executions_per_trial`"),
        ({"losses": "soft"}, ValueError, "Did you mean 'soft_targets'"),
        ({"teacher": lambda x: x}, TypeError, "Wrap a function with"),
        ({"tuner": "bayes"}, ValueError, "Did you mean 'bayesian'"),
    ],
    ids=["budget", "max_trials", "executions", "losses", "teacher", "tuner"],
)
def test_wrong_arguments_are_refused_at_once(tmp_path, arguments, error, text):
    with pytest.raises(error, match=text):
        make_tuner(tmp_path, **arguments)


def test_without_kerastuner_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_tuner", None)
    with pytest.raises(ImportError, match=r"'keras-kd\[tuner\]'"):
        keras_kd.search.__getattr__("StudentTuner")
    assert keras_kd.Budget(num_params=5).limits == {"num_params": 5}


def test_another_class_count_is_refused_at_once(tmp_path):
    def build(width):
        return keras.Sequential([keras.Input((6,)), keras.layers.Dense(5)])

    with pytest.raises(ValueError, match="the same classes"):
        make_tuner(tmp_path, build=build)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"Cannot write to the folder .*file"):
        make_tuner(tmp_path / "file")


def test_an_objective_of_validation_needs_validation_data(tmp_path):
    tuner = make_tuner(tmp_path)
    with pytest.raises(ValueError, match="objective 'val_accuracy'"):
        tuner.search(X, Y, epochs=1, verbose=0)
    assert not tuner.results


def test_two_searches_of_one_folder_are_refused(tmp_path):
    tuner = make_tuner(tmp_path)
    with (
        state.locked(tuner.project_dir),
        pytest.raises(RuntimeError, match="Another process runs the search"),
    ):
        tuner.search(X, Y, validation_data=(X, Y), verbose=0)


def test_a_teacher_is_needed_for_data_that_is_not_joined(tmp_path):
    from keras_kd.search.teaching import teach_once

    with pytest.raises(ValueError, match=r"search on `cache.join\(dataset\)`"):
        teach_once(None, X, tmp_path)


def test_joined_data_is_left_alone(tmp_path):
    from keras_kd.search.teaching import teach_once

    cache = keras_kd.TeacherCache.build(tmp_path, dense(), X, verbose=0)
    joined = cache.join(tf.data.Dataset.from_tensor_slices((X, Y)).batch(8))
    assert teach_once(None, joined, tmp_path / "none") == (None, joined)
    assert teach_once(cache, X, tmp_path / "none")[0] is cache
    assert not (tmp_path / "none").exists()


def test_a_live_teacher_is_stored_once_and_another_is_refused(tmp_path):
    from keras_kd.search.teaching import teach_once

    folder = tmp_path / "teacher_cache"
    teacher = dense(name="teacher")
    cache, joined = teach_once(teacher, X, folder, verbose=0)
    stored = joined["keras_kd_teacher"]["logits"]
    live = teacher.predict(X, verbose=0)
    np.testing.assert_allclose(stored, live, atol=2e-3)
    assert len(cache) == len(X)
    teach_once(teacher, X, folder, verbose=0)
    with pytest.raises(keras_kd.StaleCacheError, match="another"):
        teach_once(dense(), X, folder, verbose=0)


@pytest.mark.slow
def test_layers_that_losses_read_are_stored(tmp_path):
    from toys import FeatureMSE

    hint = FeatureMSE(teacher_layer="hidden", student_layer="hidden")
    tuner = make_tuner(
        tmp_path,
        dense(8, name="teacher"),
        build=lambda hp: dense(8),
        losses=["soft_targets", hint],
        objective=["val_accuracy", "val_loss"],
        max_trials=1,
    )
    tuner.search(x=X, y=Y, validation_data=(X, Y), epochs=1, verbose=0)
    (candidate,) = tuner.results
    assert candidate.status == "feasible"
    # KerasTuner adds objectives up, those to maximize negated.
    assert candidate.objective == pytest.approx(
        candidate.metrics["val_loss"] - candidate.metrics["val_accuracy"]
    )
    assert candidate.metrics["feature_mse"] > 0
    cache = keras_kd.TeacherCache.open(
        Path(tuner.project_dir) / "teacher_cache"
    )
    assert list(cache.spec.features) == ["hidden"]


def test_without_labels_the_teacher_alone_is_learned_from(tmp_path):
    hp = keras_tuner.HyperParameters()
    hp.Fixed("alpha", 1.0)
    tuner = make_tuner(tmp_path, max_trials=1, hyperparameters=hp)
    tuner.search(X, validation_data=(X, Y), epochs=1, verbose=0)
    (candidate,) = tuner.results
    assert candidate.status == "feasible"
    assert 0 <= candidate.objective <= 1
    assert "student_loss" not in candidate.metrics


def test_without_labels_the_task_needs_a_fixed_alpha(tmp_path):
    tuner = make_tuner(tmp_path, objective="loss")
    with pytest.raises(ValueError, match="data without labels"):
        tuner.search(X, epochs=1, verbose=0)


def test_a_budget_that_nothing_meets_leaves_nothing_to_choose(tmp_path):
    tuner = make_tuner(
        tmp_path, max_trials=20, budget=keras_kd.Budget(num_params=2)
    )
    with pytest.raises(keras_kd.OverBudgetError, match="num_params 23 is"):
        tuner.search(X, Y, validation_data=(X, Y), epochs=1, verbose=0)
    for choose in (tuner.best_student, tuner.get_best_models):
        with pytest.raises(ValueError, match=r"no trained student.*infeasible"):
            choose()
    assert tuner.pareto_front() == []


def test_the_dtype_policy_outlives_a_trial():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        running.clear_session()
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy("float32")


class Own(keras_tuner.HyperModel):
    """Trains by itself, and says only what it reached."""

    def build(self, hp):
        return dense(4)

    def fit(self, hp, model, x, y, callbacks=None, **kwargs):
        model.fit(x, y, epochs=1, verbose=0)
        return {"val_accuracy": hp.get("alpha")}


@pytest.mark.slow
def test_a_hypermodel_may_train_by_itself(tmp_path):
    tuner = make_tuner(tmp_path, build=Own(), max_trials=2)
    tuner.search(X, Y, verbose=0)
    assert [c.objective for c in tuner.results] == [
        pytest.approx(c.values["alpha"]) for c in tuner.results
    ]
    assert tuner.best_candidate().objective == max(
        c.values["alpha"] for c in tuner.results
    )
    assert tuner.best_student().count_params() == dense(4).count_params()


@pytest.mark.slow
def test_tensorboard_shows_the_hyperparameters(tmp_path):
    board = keras.callbacks.TensorBoard(str(tmp_path / "board"))
    tuner = make_tuner(tmp_path, max_trials=1)
    tuner.search(
        X,
        Y,
        validation_data=(X, Y),
        epochs=1,
        verbose=0,
        callbacks=[board],
    )
    (candidate,) = tuner.results
    assert candidate.status == "feasible"
    folder = tmp_path / "board" / candidate.trial_id / "execution0"
    tags = {
        value.tag
        for path in folder.glob("events*")
        for record in tf.data.TFRecordDataset(str(path))
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value
    }
    assert "_hparams_/session_start_info" in tags
