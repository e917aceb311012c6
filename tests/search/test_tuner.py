"""A whole search: what is trained, what is not, and what it gives."""

import json
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from small_searches import NUM_CLASSES
from small_searches import data
from small_searches import dense
from small_searches import make_tuner
from small_searches import student_of
from small_searches import weights_of

import keras_kd
from keras_kd.search.trials.running import trial_seed

pytestmark = pytest.mark.untraced

X, Y = data()
TEST = data(30)[0][::-1].copy(), data(30)[1][::-1].copy()
MATRIX = np.random.default_rng(1).normal(size=(6, NUM_CLASSES))


class CountingTeacher:
    """Counts the examples it is asked about."""

    def __init__(self):
        self.seen = 0

    def __call__(self, x):
        self.seen += len(x)
        return x @ MATRIX


def grid_of(widths):
    hp = keras_tuner.HyperParameters()
    hp.Fixed("alpha", 0.5)
    hp.Fixed("temperature", 2.0)
    hp.Choice("width", widths, default=widths[0])
    return hp


def make(folder, teacher, **arguments):
    return make_tuner(
        folder,
        keras_kd.teachers.HostTeacher(teacher, NUM_CLASSES, output="logits"),
        tuner="grid",
        budget=keras_kd.Budget(num_params=weights_of(8)),
        hyperparameters=grid_of([0.5, 0.25, 0.125]),
        executions_per_trial=2,
        teacher_id="matrix",
        **arguments,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("search")


@pytest.fixture(scope="module")
def teacher():
    return CountingTeacher()


@pytest.fixture(scope="module")
def searched(folder, teacher):
    tuner = make(folder, teacher)
    tuner.search(
        X, Y, validation_data=(X, Y), epochs=2, verbose=0, test_data=TEST
    )
    return tuner


def accuracy(model, data):
    x, y = data
    return float((model.predict(x, verbose=0).argmax(axis=1) == y).mean())


def execution_weights(tuner, trial_id):
    folder = Path(tuner.project_dir) / f"trial_{trial_id}"
    return sorted(folder.glob("execution_*.weights.h5"))


def test_every_width_was_tried_and_the_widest_was_not_trained(searched):
    found = {c.values["width"]: c for c in searched.results}
    assert set(found) == {0.5, 0.25, 0.125}
    over = found[0.5]
    assert over.status == "infeasible"
    assert over.num_params == weights_of(16)
    assert over.reason == (
        f"num_params {weights_of(16)} is above the budget's {weights_of(8)} "
        f"({100 * (weights_of(16) / weights_of(8) - 1):.0f} % over)"
    )
    assert not execution_weights(searched, over.trial_id)
    assert {found[w].status for w in (0.25, 0.125)} == {"feasible"}
    assert found[0.125].num_params == weights_of(4)


def test_the_teacher_saw_every_example_once(searched, teacher):
    assert teacher.seen == len(X)


def test_objective_and_spread_are_those_of_the_executions(searched):
    for candidate in searched.results[1:]:
        model = dense(round(32 * candidate.values["width"]))
        reached = []
        for file in execution_weights(searched, candidate.trial_id):
            distiller = keras_kd.Distiller(None, model)
            distiller.load_weights(file)
            reached.append(accuracy(model, (X, Y)))
        assert candidate.objective == pytest.approx(np.mean(reached))
        assert candidate.spread == pytest.approx(np.std(reached, ddof=1))


def test_the_best_model_is_that_of_the_best_execution(searched):
    best = searched.best_candidate()
    student = searched.best_student()
    reached = [best.objective + s * best.spread / 2**0.5 for s in (-1, 1)]
    assert accuracy(student, (X, Y)) == pytest.approx(max(reached), abs=1e-6)
    (distiller,) = searched.get_best_models(1)
    assert isinstance(distiller, keras_kd.Distiller)
    logs = distiller.evaluate(X, Y, return_dict=True, verbose=0)
    assert logs["accuracy"] == pytest.approx(max(reached), abs=1e-6)


def test_the_best_is_evaluated_on_data_no_trial_saw(searched):
    result = searched.test_result
    assert result.trial_id == searched.best_candidate().trial_id
    model = dense(round(32 * searched.best_candidate().values["width"]))
    found = []
    for file in execution_weights(searched, result.trial_id):
        keras_kd.Distiller(None, model).load_weights(file)
        found.append(accuracy(model, TEST))
    assert result.mean["accuracy"] == pytest.approx(np.mean(found))
    assert result.spread["accuracy"] == pytest.approx(np.std(found, ddof=1))


def test_nothing_is_left_that_was_for_resuming(searched):
    folder = Path(searched.project_dir)
    assert not list(folder.rglob("*.npz"))
    for file in folder.rglob("*.json"):
        json.loads(file.read_text())


def test_a_loss_that_was_told_is_kept(searched, folder, teacher):
    again = make(folder, teacher)
    assert again.hypermodel.loss.get_config()["from_logits"] is True
    assert again.results == searched.results
    assert again.test_result == searched.test_result
    before, after = searched.best_student(), again.best_student()
    for one, two in zip(before.weights, after.weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_search_that_ended_trains_nothing_again(searched, folder, teacher):
    again = make(folder, teacher)
    again.hypermodel.fit = None  # would raise
    again.search(X, Y, validation_data=(X, Y), epochs=2, verbose=0)
    assert again.results == searched.results
    assert teacher.seen == len(X)


def test_the_front_has_no_trial_that_another_beats(searched):
    front = searched.pareto_front()
    trained = [c for c in searched.results if c.status == "feasible"]
    best = max(c.objective for c in trained)
    smallest = min(c.num_params for c in trained)
    assert front[0].num_params == smallest
    assert front[-1].objective == best
    assert searched.pareto_front("num_params") == front


@pytest.mark.slow
@pytest.mark.export
def test_what_was_not_measured_is_measured_for_the_front(searched, tmp_path):
    (smallest, *_) = searched.pareto_front("size_bytes")
    path = tmp_path / "student.tflite"
    trial = searched.oracle.get_trial(smallest.trial_id)
    keras_kd.export.tflite(searched.load_model(trial).student, path)
    # Layer names differ in length.
    assert smallest.size_bytes == pytest.approx(path.stat().st_size, abs=40)
    one = searched.best_student(max_bytes=smallest.size_bytes)
    assert one.count_params() == smallest.num_params
    text = f"the smallest size_bytes is {smallest.size_bytes:,}. Received"
    with pytest.raises(ValueError, match=text):
        searched.best_student(max_bytes=10)


def test_limits_choose_among_the_trained(searched):
    with pytest.raises(ValueError, match="needs `rule` to be one of 'best'"):
        searched.best_student("finest")
    with pytest.raises(ValueError, match="`by` to be one of 'num_params'"):
        searched.pareto_front("bytes")
    assert searched.best_candidate("knee").status == "feasible"


def test_kerastuner_users_find_what_they_know(searched, capsys):
    assert isinstance(searched, keras_tuner.Tuner)
    (hp,) = searched.get_best_hyperparameters()
    assert hp.values["alpha"] == 0.5
    assert searched.remaining_trials == 0
    searched.results_summary()
    assert capsys.readouterr().out.count("Score: ") == 2


@pytest.mark.slow
def test_a_trial_is_a_distiller_trained_by_hand(tmp_path):
    """Same seed, same cache, same data: the same weights."""
    pipeline = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    tuner = make_tuner(
        tmp_path,
        build=lambda width: dense(round(16 * width), dropout=0.3),
        objective="val_loss",
        max_trials=1,
    )
    tuner.search(pipeline, validation_data=(X, Y), epochs=4, verbose=0)
    (candidate,) = tuner.results
    values = candidate.values

    cache = keras_kd.TeacherCache.open(
        Path(tuner.project_dir) / "teacher_cache", tuner.teacher
    )
    keras.utils.set_random_seed(trial_seed(values, 1, 0))
    student = dense(round(16 * values["width"]), dropout=0.3)
    by_hand = keras_kd.Distiller(
        cache,
        student,
        alpha=values["alpha"],
        temperature=values["temperature"],
    )
    by_hand.compile(
        "adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    weights = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.append(student.get_weights())
    )
    logs = by_hand.fit(
        cache.join(pipeline),
        validation_data=(X, Y),
        epochs=4,
        verbose=0,
        callbacks=[keep],
    ).history["val_loss"]
    assert candidate.objective == pytest.approx(min(logs), abs=1e-6)
    best = weights[int(np.argmin(logs))]
    for mine, other in zip(best, tuner.best_student().weights, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-6)


def test_student_of_and_weights_of_agree():
    assert student_of(0.25).count_params() == weights_of(8)


@pytest.mark.slow
@pytest.mark.parametrize("live", [True, False], ids=["live", "cached"])
@pytest.mark.parametrize("form", ["list", "dict"])
def test_several_inputs_and_outputs(tmp_path, form, live):
    def build(width):
        left = keras.Input((6,), name="a left")
        right = keras.Input((6,), name="b")
        x = keras.layers.Concatenate()([left, right])
        x = keras.layers.Dense(round(8 * width), "relu")(x)
        outputs = [keras.layers.Dense(n, name=f"of_{n}")(x) for n in (3, 5)]
        if form == "list":
            return keras.Model([left, right], outputs)
        outputs = {"z-one": outputs[0], "a-2": outputs[1]}
        return keras.Model({"a left": left, "b": right}, outputs)

    x, y = (X, -X), (Y, Y)
    loss = [
        keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        for _ in range(2)
    ]
    if form == "dict":
        x = {"a left": X, "b": -X}
        y = {"z-one": Y, "a-2": Y}
        loss = {"z-one": loss[0], "a-2": loss[1]}
    pairs = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    teacher = build(2)
    if not live:
        teacher = keras_kd.TeacherCache.build(
            tmp_path / "cache", teacher, pairs, verbose=0
        )
    tuner = make_tuner(
        tmp_path, teacher, build, max_trials=1, objective="val_loss", loss=loss
    )
    tuner.search(pairs, validation_data=pairs, epochs=1, verbose=0)
    assert len(tuner.best_student().outputs) == 2
