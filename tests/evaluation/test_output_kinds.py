"""Measures that fit what an output is."""

import keras
import numpy as np
import pytest
from sklearn import metrics

import keras_kd

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")


def model(units, activation=None, *, compiled=None):
    made = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(units, activation)]
    )
    if compiled:
        made.compile("sgd", compiled)
    return made


def measured(*arguments, **options):
    return keras_kd.evaluate(*arguments, latency=False, **options)


@pytest.mark.parametrize("units", [1, 3])
def test_numbers(units):
    student, teacher = model(units), model(units, compiled="mse")
    y = RNG.normal(size=(40, units))
    y[3] = np.nan
    weights = RNG.uniform(size=40)
    found = measured(student, (X, y, weights), teacher)
    outputs = np.asarray(student(X), "float64")
    w = np.broadcast_to(weights[:, None], y.shape)
    known = ~np.isnan(y)
    gap = (outputs - y)[known]
    mae = np.average(np.abs(gap), weights=w[known])
    rmse = np.sqrt(np.average(gap**2, weights=w[known]))
    apart = np.average(np.abs(outputs - np.asarray(teacher(X))), weights=w)
    assert found.mae == pytest.approx(mae, rel=1e-5)
    assert found.rmse == pytest.approx(rmse, rel=1e-5)
    assert found.teacher_mae == pytest.approx(apart, rel=1e-5)
    assert found.accuracy is found.agreement is found.nll is None


def test_labels():
    student = model(3)
    y = (RNG.uniform(size=(40, 3)) > 0.4).astype("float32")
    y[:5, 1] = np.nan
    found = measured(student, (X, y), model(3, "sigmoid"))
    scores = 1 / (1 + np.exp(-np.asarray(student(X), "float64")))
    for index in range(3):
        known = ~np.isnan(y[:, index])
        truth, score = y[known, index], scores[known, index]
        f1 = metrics.f1_score(truth, score > 0.5)
        auc = metrics.roc_auc_score(truth, score)
        assert found.per_label_f1[index] == pytest.approx(f1, abs=1e-6)
        assert found.per_label_auc[index] == pytest.approx(auc, abs=5e-3)
    known = ~np.isnan(y)
    right = (scores > 0.5) == (np.nan_to_num(y) > 0.5)
    assert found.accuracy == pytest.approx(right[known].mean())


def test_embeddings():
    student = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3),
            keras.layers.UnitNormalization(),
        ]
    )
    teacher = keras.models.clone_model(student)
    found = measured(student, (X, np.arange(40)), teacher)
    cosines = (np.asarray(student(X)) * np.asarray(teacher(X))).sum(-1)
    assert found.teacher_cosine == pytest.approx(cosines.mean(), rel=1e-4)
    assert found.cosine is found.accuracy is None


def test_pixels():
    inputs = keras.Input((4, 4, 1))
    student = keras.Model(inputs, keras.layers.Conv2D(3, 1)(inputs))
    x = RNG.normal(size=(6, 4, 4, 1)).astype("float32")
    y = RNG.integers(0, 3, (6, 4, 4))
    found = measured(student, (x, y))
    chosen = np.asarray(student(x)).argmax(-1).reshape(-1)
    iou = metrics.jaccard_score(y.reshape(-1), chosen, average="macro")
    assert found.mean_iou == pytest.approx(iou)
    assert measured(model(3), (X, np.arange(40) % 3)).mean_iou is None


def test_a_file_knows_what_its_output_is(tmp_path):
    student = model(1, compiled="mse")
    path = tmp_path / "student.tflite"
    keras_kd.export.tflite(student, path)
    assert keras_kd.export.read_card(path)["output_kinds"] == ["numbers"]
    y = RNG.normal(size=(40, 1))
    assert measured(path, (X, y)).mae == pytest.approx(
        measured(student, (X, y)).mae, rel=1e-4
    )


def test_targets_of_a_regression_are_no_classes():
    with pytest.raises(ValueError, match="model_output='numbers'"):
        measured(model(3), (X, RNG.normal(size=(40, 3))))
    found = measured(model(3), (X, X[:, :3]), model_output="numbers")
    assert found.mae > 0


def test_one_linear_unit_is_asked_about():
    with pytest.raises(ValueError, match="model_output='binary_logits'"):
        measured(model(1), (X, X[:, :1]))
