"""A training run saved after every epoch."""

import keras
import keras_tuner
import numpy as np
import pytest
from small_searches import data
from small_searches import dense

import keras_kd
from keras_kd.search.trials import snapshots
from keras_kd.search.trials.checkpoint import TrialCheckpoint
from keras_kd.search.trials.snapshots import Snapshot

pytestmark = pytest.mark.untraced

X, Y = data()
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
LOWEST = keras_tuner.Objective("val_loss", "min")
HIGHEST = keras_tuner.Objective("val_accuracy", "max")


def distiller(dropout=0.4):
    keras.utils.set_random_seed(0)
    made = keras_kd.Distiller(dense(16), dense(4, dropout))
    made.compile(keras.optimizers.Adam(0.05), loss=LOSS, metrics=["accuracy"])
    made.optimizer.build(made.trainable_variables)
    return made


def fit(path, epochs, others=(), objective=LOWEST):
    model = distiller()
    others = list(others)
    checkpoint = TrialCheckpoint(path, objective, others)
    checkpoint.begin(model, 0)
    model.fit(
        X,
        Y,
        validation_data=(X, Y),
        epochs=epochs,
        initial_epoch=checkpoint.progress.epoch,
        shuffle=False,
        verbose=0,
        callbacks=[*others, checkpoint],
    )
    return model, checkpoint.progress


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Four epochs in one go, and in two processes' worth of objects."""
    folder = tmp_path_factory.mktemp("runs")
    whole = fit(folder / "whole.npz", 4)
    fit(folder / "parts.npz", 2)
    return whole, fit(folder / "parts.npz", 4), folder


@pytest.mark.slow
def test_two_halves_are_a_whole(runs):
    (whole, one), (parts, two), _ = runs
    mine, other = snapshots.take(whole), snapshots.take(parts)
    assert len(mine) == len(whole.variables) + len(whole.optimizer.variables)
    for left, right in zip(mine, other, strict=True):
        np.testing.assert_array_equal(left, right)
    assert one.logs == two.logs
    assert one.best_epoch == two.best_epoch


def test_the_best_epoch_is_that_of_the_logs(runs):
    (whole, progress), _, _ = runs
    losses = [epoch["val_loss"] for epoch in progress.logs]
    assert progress.best_epoch == int(np.argmin(losses))
    assert progress.best_value == min(losses)
    snapshots.restore(whole, progress.best)
    logs = whole.evaluate(X, Y, return_dict=True, verbose=0)
    assert logs["loss"] == pytest.approx(min(losses), rel=1e-5)


def test_a_file_holds_all_of_it(runs):
    (_, progress), _, folder = runs
    read = Snapshot.load(folder / "whole.npz")
    for name in ("now", "best"):
        arrays = zip(getattr(read, name), getattr(progress, name), strict=True)
        for mine, other in arrays:
            np.testing.assert_array_equal(mine, other)
            assert mine.dtype == other.dtype
    assert (read.logs, read.epoch) == (progress.logs, 4)


def test_a_damaged_file_is_set_aside_and_named(runs, tmp_path):
    path = tmp_path / "execution_0.npz"
    path.write_bytes((runs[2] / "whole.npz").read_bytes()[:-500])
    with pytest.warns(UserWarning, match=r"execution_0.npz` is damaged"):
        assert Snapshot.load(path) is None
    assert path.with_name("execution_0.npz.corrupt").exists()
    assert Snapshot.load(path) is None


def test_a_file_of_another_training_is_not_read(runs):
    path = runs[2] / "whole.npz"
    other = TrialCheckpoint(path, LOWEST, [], identity="another seed")
    assert other.progress == Snapshot(identity="another seed")


@pytest.mark.slow
def test_other_callbacks_know_what_they_knew(tmp_path):
    """The patience of the first two epochs counts after a restart."""

    class Worse(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_loss"] = 1.0 + epoch

    def others():
        stopping = keras.callbacks.EarlyStopping(
            "val_loss", patience=3, restore_best_weights=True
        )
        return [Worse(), stopping]

    path = tmp_path / "progress.npz"
    first = others()
    fit(path, 2, first)
    second = others()
    _, progress = fit(path, 9, second)
    assert progress.epoch == 4
    assert progress.stopped
    assert second[1].best == 1.0
    mine, other = second[1].best_weights, first[1].best_weights
    for left, right in zip(mine, other, strict=True):
        np.testing.assert_array_equal(left, right)


def test_nan_is_never_the_best(tmp_path):
    class Broken(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_loss"] = [np.nan, 3.0, np.nan, 2.0, 2.5][epoch]

    model = distiller()
    checkpoint = TrialCheckpoint(tmp_path / "progress.npz", LOWEST, [])
    checkpoint.set_model(model)
    for epoch in range(5):
        logs = {"val_loss": 0.0}
        Broken().on_epoch_end(epoch, logs)
        checkpoint.on_epoch_end(epoch, logs)
    assert checkpoint.progress.best_epoch == 3
    assert checkpoint.history().history == {"val_loss": [3.0, 2.0, 2.5]}


@pytest.mark.parametrize(
    ("objective", "text"),
    [
        (HIGHEST, r"'loss', 'soft'.*='val_accuracy'. Give `validation_data`"),
        (keras_tuner.Objective("los", "min"), "Did you mean 'loss'"),
    ],
    ids=["no validation", "misspelt"],
)
def test_an_objective_that_is_not_logged_is_named(tmp_path, objective, text):
    checkpoint = TrialCheckpoint(tmp_path / "progress.npz", objective, [])
    checkpoint.set_model(distiller())
    with pytest.raises(keras_tuner.errors.FatalValueError, match=text):
        checkpoint.on_epoch_end(0, {"loss": 1.0, "soft": 2.0})


def test_arrays_of_another_model_are_refused():
    other = snapshots.take(distiller())
    model = keras_kd.Distiller(dense(16), dense(5))
    model.compile("sgd", loss=LOSS)
    with pytest.raises(ValueError, match="of another model than `distiller`"):
        snapshots.restore(model, other)


def test_bfloat16_survives_a_file(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, dtype="bfloat16")]
    )
    model.compile("sgd", loss=LOSS)
    before = snapshots.take(model)
    progress = Snapshot(now=before, best=before)
    progress.save(tmp_path / "progress.npz")
    model.set_weights([np.zeros((3, 2)), np.zeros(2)])
    read = Snapshot.load(tmp_path / "progress.npz")
    snapshots.restore(model, read.now)
    for left, right in zip(snapshots.take(model), before, strict=True):
        np.testing.assert_array_equal(left, right)
    assert model.weights[0].dtype == "bfloat16"


def test_callbacks_of_another_kind_get_nothing(tmp_path):
    path = tmp_path / "progress.npz"
    checkpoint = TrialCheckpoint(
        path, LOWEST, [keras.callbacks.EarlyStopping()]
    )
    checkpoint.set_model(distiller())
    checkpoint.on_epoch_end(0, {"val_loss": 1.0})
    other = keras.callbacks.ReduceLROnPlateau("val_loss")
    before = dict(vars(other))
    TrialCheckpoint(path, LOWEST, [other]).on_train_begin()
    assert vars(other) == before
