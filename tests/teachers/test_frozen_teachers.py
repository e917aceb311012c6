"""Caches and evaluations hold what the live teacher says, though it is frozen.

Both run the teacher with its weights as constants; see `core/frozen.py`.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_kd
from keras_kd.core import frozen

layers = keras.layers
ROWS = np.random.default_rng(0).normal(size=(10, 6)).astype("float32")
TOKENS = np.random.default_rng(1).integers(0, 9, (10, 4)).astype("int32")


@pytest.fixture
def normed():
    """A model whose BatchNormalization does something."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(5, name="hidden"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Dense(3),
        ]
    )
    shift(model)
    return model


def shift(model):
    norm = model.get_layer("norm")
    norm.moving_mean.assign_add(np.linspace(-1, 1, 5))
    norm.moving_variance.assign_add(np.linspace(0.5, 2, 5))


@pytest.fixture
def recurrent():
    """A model with a loop, which cannot be frozen."""
    return keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            layers.Embedding(9, 4),
            layers.LSTM(3),
        ],
        name="recurrent",
    )


@pytest.fixture
def num_frozen(monkeypatch):
    """The number of graphs that were frozen so far."""
    done = []

    def counted(traced, freeze=frozen.freeze):
        done.append(traced)
        return freeze(traced)

    monkeypatch.setattr(frozen, "freeze", counted)
    return lambda: len(done)


@pytest.fixture
def stored(tmp_path):
    """Build a cache and return what it holds for an array."""

    def run(teacher, x, name="cache", **settings):
        cache = keras_kd.TeacherCache.build(
            tmp_path / name,
            teacher,
            x,
            dtype="float32",
            batch_size=4,
            verbose=0,
            **settings,
        )
        return cache.join(x)["keras_kd_teacher"]

    return run


def test_a_cache_holds_the_live_outputs(normed, stored, num_frozen):
    held = stored(normed, ROWS, layers=["norm"])
    assert num_frozen() == 1, "one graph for batches of 4, 4 and 2"
    np.testing.assert_allclose(
        held["logits"], normed.predict(ROWS, verbose=0), atol=1e-6
    )
    live = keras.Model(normed.inputs, normed.get_layer("norm").output)
    np.testing.assert_allclose(
        held["features"]["norm"], live.predict(ROWS, verbose=0), atol=1e-6
    )


def test_a_cache_of_changed_weights_holds_theirs(normed, stored):
    before = stored(normed, ROWS)["logits"]
    shift(normed)
    after = stored(normed, ROWS, "changed")["logits"]
    live = normed.predict(ROWS, verbose=0)
    np.testing.assert_allclose(after, live, atol=1e-6)
    assert abs(after - before).max() > 1e-2


def test_a_cache_says_once_why_its_teacher_is_not_frozen(
    recurrent, stored, caplog
):
    caplog.set_level("INFO", "keras_kd")
    held = stored(recurrent, TOKENS, teacher_output="logits")
    live = recurrent.predict(TOKENS, verbose=0)
    np.testing.assert_allclose(held["logits"], live, atol=1e-6)
    told = [each for each in caplog.records if each.name == "keras_kd"]
    assert [each.getMessage()[:11] for each in told] == ["`recurrent`"]


def divergence(teacher, student, x):
    """KL(teacher to student) of softmaxes."""
    both = [model.predict(x, verbose=0) for model in (teacher, student)]
    p, q = (z - np.log(np.exp(z).sum(-1, keepdims=True)) for z in both)
    return (np.exp(p) * (p - q)).sum(-1).mean()


def test_evaluate_compares_with_the_live_teacher(normed, num_frozen):
    student = keras_kd.students.mlp((6,), 3)
    data = tf.data.Dataset.from_tensor_slices((ROWS, np.zeros(10, int))).batch(
        7
    )
    seen = []
    for _ in range(2):
        found = keras_kd.evaluate(student, data, normed, latency=False)
        expected = divergence(normed, student, ROWS)
        assert found.teacher_kl == pytest.approx(expected, abs=1e-6)
        seen.append(found.teacher_kl)
        shift(normed)
    assert num_frozen() == 2
    assert abs(seen[1] - seen[0]) > 1e-3


def test_evaluate_says_once_why_its_teacher_is_not_frozen(recurrent, caplog):
    student = keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            layers.Embedding(9, 4),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    caplog.set_level("INFO", "keras_kd")
    found = keras_kd.evaluate(
        student,
        (TOKENS, np.zeros(10, int)),
        teacher=recurrent,
        teacher_output="logits",
        model_output="logits",
        latency=False,
    )
    expected = divergence(recurrent, student, TOKENS)
    assert found.teacher_kl == pytest.approx(expected, abs=1e-6)
    told = [each for each in caplog.records if each.name == "keras_kd"]
    assert [each.getMessage()[:11] for each in told] == ["`recurrent`"]
