"""Regression by each error, restated in NumPy."""

import keras
import numpy as np
import pytest
from loss_rows import Row

import keras_kd
from keras_kd.losses import TargetRegression

RNG = np.random.default_rng(206)
SHAPES = [(6,), (6, 1), (6, 3), (6, 4, 3), (6, 2, 2, 1)]
QUANTILES = (0.1, 0.5, 0.8)


def error(metric, target, output, quantiles=None):
    gap = target - output
    if metric == "quantile":
        q = np.asarray(quantiles)
        return np.where(gap > 0, q * gap, (q - 1) * gap)
    return gap**2 if metric == "squared_error" else np.abs(gap)


def mean(values):
    return values.mean(-1) if values.ndim > 1 else values


CONTRACT = [
    Row(
        TargetRegression, lambda t, s, y: error("squared_error", t, s).mean(-1)
    ),
    Row(
        TargetRegression,
        lambda t, s, y: np.abs(t - s).mean(-1),
        {"metric": "absolute"},
    ),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("metric", ["squared_error", "absolute", "quantile"])
def test_numbers_of_any_shape(metric, shape):
    teacher, student, labels = RNG.normal(size=(3, *shape))
    settings = {"metric": metric}
    if metric == "quantile":
        quantiles = QUANTILES if shape[-1] == 3 else 0.7
        settings["quantiles"] = quantiles

    def exact(target, output):
        return mean(error(metric, target, output, settings.get("quantiles")))

    found = TargetRegression(**settings).per_position(teacher, student)
    assert found.numpy() == pytest.approx(exact(teacher, student))
    own, theirs = exact(labels, student), exact(labels, teacher)
    for margin in (0.0, 0.5):
        loss = TargetRegression(bounded=True, margin=margin, **settings)
        found = loss.per_position(teacher, student, labels).numpy()
        assert found == pytest.approx(np.where(own + margin > theirs, own, 0))


def test_quantiles_share_a_label():
    teacher, student = RNG.normal(size=(2, 6, 3))
    y = RNG.normal(size=6)
    loss = TargetRegression("quantile", QUANTILES, bounded=True)
    own, theirs = (
        error("quantile", y[:, None], each, QUANTILES).mean(-1)
        for each in (student, teacher)
    )
    for labels in (y, y[:, None]):
        found = loss(teacher, student, labels).numpy()
        assert found == pytest.approx(np.where(own > theirs, own, 0))


def test_unknown_labels_count_in_neither_error():
    teacher, student, labels = RNG.normal(size=(3, 6, 4))
    labels[RNG.random((6, 4)) < 0.4] = np.nan
    labels[2] = np.nan
    own, theirs = (
        np.nan_to_num(np.nanmean((labels - each)[[0, 1, 3, 4, 5]] ** 2, axis=1))
        for each in (student, teacher)
    )
    found = TargetRegression(bounded=True)(teacher, student, labels).numpy()
    assert found[2] == 0
    exact = np.where(own > theirs, own, 0)
    assert np.delete(found, 2) == pytest.approx(exact)


def tagger():
    tokens = keras.Input((5,), dtype="int32")
    x = keras.layers.Embedding(7, 3, mask_zero=True)(tokens)
    return keras.Model(tokens, keras.layers.Dense(2)(x))


@pytest.mark.eager
def test_masked_positions_do_not_count_in_fit():
    x = RNG.integers(1, 7, (8, 5))
    x[:, 1:][RNG.random((8, 4)) < 0.5] = 0
    y = RNG.normal(size=(8, 5, 2)).astype("float32")
    loss = TargetRegression("absolute", bounded=True, margin=0.1)
    distiller = keras_kd.Distiller(tagger(), tagger(), loss, alpha=0.5)
    distiller.compile(keras.optimizers.SGD(0.0), loss="mae")
    logs = distiller.fit(x, y, batch_size=8, verbose=0).history
    theirs, own = (
        np.abs(np.asarray(model(x), "float64") - y).mean(-1)
        for model in (distiller.teacher, distiller.student)
    )
    exact = np.where(own + 0.1 > theirs, own, 0)[x > 0].mean()
    assert logs["target_regression"][0] == pytest.approx(exact, rel=1e-5)


@pytest.mark.eager
def test_labels_are_needed_only_with_a_bound():
    teacher, student = RNG.normal(size=(2, 6, 1))
    with pytest.raises(ValueError, match="needs labels.*labels=None"):
        TargetRegression(bounded=True)(teacher, student)
    with pytest.raises(ValueError, match=r"shape of the outputs, \(6, 2\)"):
        TargetRegression(bounded=True)(
            np.ones((6, 2)), np.ones((6, 2)), np.ones((6, 1))
        )
    with pytest.raises(ValueError, match="`quantiles` to be 1 numbers"):
        TargetRegression("quantile", QUANTILES)(teacher, student)
    x = RNG.normal(size=(6, 4)).astype("float32")
    models = [
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        for _ in range(2)
    ]
    loss = TargetRegression(bounded=True)
    distiller = keras_kd.Distiller(
        *models, loss, alpha=1.0, student_output="numbers"
    )
    distiller.compile("sgd")
    with pytest.raises(ValueError, match="needs labels"):
        distiller.fit(x, verbose=0)


@pytest.mark.parametrize(
    ("argument", "settings"),
    [
        ("metric", {"metric": "huber"}),
        ("quantiles", {"metric": "quantile"}),
        ("quantiles", {"quantiles": 0.5}),
        ("quantiles", {"metric": "quantile", "quantiles": (0.5, 1.5)}),
        ("margin", {"margin": -1.0, "bounded": True}),
        ("margin", {"margin": 1.0}),
    ],
    ids=str,
)
def test_bad_arguments(argument, settings):
    with pytest.raises(ValueError, match=f"`{argument}` to be"):
        TargetRegression(**settings)
