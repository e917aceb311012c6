"""Metrics of examples whose labels are partly unknown."""

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd.distiller import metrics as module

pytestmark = pytest.mark.eager

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5)).astype("float32")
TRUE = RNG.integers(0, 2, (40, 3)).astype("float32")
SEEN = RNG.random((40, 3)) > 0.4
SEEN[0] = False
WEIGHTS = RNG.uniform(0.5, 2, 40).astype("float32")
Y = np.where(SEEN, TRUE, np.nan).astype("float32")


def evaluated(metric, y=Y, loss="binary_crossentropy", activation="sigmoid"):
    """Return the metric, plain and weighted, and the student's outputs."""
    keras.utils.set_random_seed(3)
    stack = [keras.Input((5,)), keras.layers.Dense(3, activation)]
    student = keras.Sequential(stack)
    distiller = keras_kd.Distiller(None, student)
    weighted = type(metric).from_config(metric.get_config() | {"name": "w"})
    distiller.compile(loss=loss, metrics=[metric], weighted_metrics=[weighted])
    logs = distiller.evaluate(X, y, sample_weight=WEIGHTS, verbose=0, **DICT)
    found = (np.asarray(logs[name]) for name in (metric.name, "w"))
    return (*found, student.predict(X, verbose=0))


DICT = {"return_dict": True, "batch_size": 16}


def counts(guess, weight):
    """Return true positives, false positives, false negatives by unit."""
    pairs = ((guess, TRUE == 1), (guess, TRUE == 0), (~guess, TRUE == 1))
    return [(weight * (a & b)).sum(0) for a, b in pairs]


@pytest.mark.parametrize("threshold", [0.5, None])
@pytest.mark.parametrize("average", [None, "macro", "micro"])
def test_f1(average, threshold):
    metric = keras.metrics.F1Score(average, threshold)
    plain, weighted, p = evaluated(metric)
    best = np.where(SEEN, p, -1).max(-1, keepdims=True)
    guess = p > threshold if threshold else p == best
    for found, weight in ((plain, SEEN), (weighted, SEEN * WEIGHTS[:, None])):
        right, wrong, lost = counts(guess, weight)
        if average == "micro":
            right, wrong, lost = right.sum(), wrong.sum(), lost.sum()
        expected = 2 * right / (2 * right + wrong + lost)
        if average == "macro":
            expected = expected.mean()
        np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["Precision", "Recall"])
def test_counts_of_units(name):
    plain, weighted, p = evaluated(getattr(keras.metrics, name)())
    for found, weight in ((plain, SEEN), (weighted, SEEN * WEIGHTS[:, None])):
        right, wrong, lost = (part.sum() for part in counts(p > 0.5, weight))
        other = wrong if name == "Precision" else lost
        np.testing.assert_allclose(found, right / (right + other), rtol=1e-4)


@pytest.mark.parametrize("multi_label", [False, True])
def test_auc(multi_label):
    settings = {"multi_label": multi_label, "num_labels": 3 * multi_label}
    settings = settings if multi_label else {}
    plain, _, p = evaluated(keras.metrics.AUC(2000, **settings))
    units = range(3) if multi_label else [slice(None)]
    expected = [
        _auc(p[:, u][SEEN[:, u]], TRUE[:, u][SEEN[:, u]]) for u in units
    ]
    np.testing.assert_allclose(plain, np.mean(expected), atol=5e-3)


def _auc(score, true):
    """Share of pairs in the right order."""
    return (score[true == 1][:, None] > score[true == 0]).mean()


@pytest.mark.parametrize("name", ["R2Score", "RootMeanSquaredError"])
def test_numbers(name):
    metric = getattr(keras.metrics, name)()
    plain, weighted, p = evaluated(metric, loss="mse", activation=None)
    for found, weight in ((plain, SEEN), (weighted, SEEN * WEIGHTS[:, None])):
        squares = weight * (p - TRUE) ** 2
        expected = np.sqrt(squares.sum() / weight.sum())
        if name == "R2Score":
            mean = (weight * TRUE).sum(0) / weight.sum(0)
            total = (weight * (TRUE - mean) ** 2).sum(0)
            expected = (1 - squares.sum(0) / total).mean()
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_what_compares_units_says_that_it_leaves_out_examples():
    module._say_once.cache_clear()
    metric = keras.metrics.CategoricalAccuracy(name="top")
    with pytest.warns(UserWarning, match="`top` compares the units") as said:
        plain, _, p = evaluated(metric)
    assert sum("`top`" in str(one.message) for one in said) == 1
    whole = SEEN.all(-1)
    right = p.argmax(-1) == TRUE.argmax(-1)
    np.testing.assert_allclose(plain, right[whole].mean(), rtol=1e-5)
