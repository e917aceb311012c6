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
    weights = RNG.uniform(size=40)
    found = measured(student, (X, y, weights), model(3, "sigmoid"))
    scores = 1 / (1 + np.exp(-np.asarray(student(X), "float64")))
    for index in range(3):
        known = ~np.isnan(y[:, index])
        truth, score = y[known, index], scores[known, index]
        how = {"sample_weight": weights[known]}
        f1 = metrics.f1_score(truth, score > 0.5, **how)
        auc = metrics.roc_auc_score(truth, score, **how)
        assert found.per_label_f1[index] == pytest.approx(f1, rel=1e-9)
        assert found.per_label_auc[index] == pytest.approx(auc, rel=1e-12)
    known = ~np.isnan(y)
    right = (scores > 0.5) == (np.nan_to_num(y) > 0.5)
    w = np.broadcast_to(weights[:, None], y.shape)[known]
    assert found.accuracy == pytest.approx(np.average(right[known], weights=w))


def _pairs(score, truth, weight):
    """Weighted share of the pairs that are in order, a pair at a time."""
    yes, no = truth == 1, truth == 0
    gap = score[yes][:, None] - score[no]
    pairs = np.outer(weight[yes], weight[no])
    return (pairs * ((gap > 0) + 0.5 * (gap == 0))).sum() / pairs.sum()


def test_auc_is_exact_for_small_probabilities_ties_and_weights():
    student = model(3, "sigmoid")
    student.set_weights([np.full((4, 3), 0.5), np.array([-8.0, -60.0, 30.0])])
    x = np.round(X)
    weights = RNG.uniform(size=40)
    y = (RNG.uniform(size=(40, 3)) + x.mean(-1, keepdims=True) > 0.5) * 1
    y[:5, 1] = -1
    y[:, 2] = 1
    found = measured(student, (x, y, weights))
    score = x.astype("float64").sum(-1)
    assert len(np.unique(score)) < 40
    for index in range(2):
        expected = _pairs(score, y[:, index], weights)
        assert found.per_label_auc[index] == pytest.approx(expected, rel=1e-12)
    assert found.per_label_auc[2] is None
    y = np.where(np.arange(3) == 1, -1, y)
    found = measured(student, (x, y, weights))
    assert found.per_label_f1[1] is found.per_label_auc[1] is None
    assert found.per_label_f1[2] == 1.0


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
    y = RNG.normal(size=(40, 3))
    y[7, 1] = np.nan
    known = np.arange(40) != 7
    outputs = np.asarray(student(X), "float64")[known]
    norms = np.linalg.norm(outputs, axis=-1) * np.linalg.norm(y[known], axis=-1)
    cosines = (outputs * y[known]).sum(-1) / norms
    found = measured(student, (X, y))
    assert found.cosine == pytest.approx(cosines.mean(), rel=1e-6)


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


def _no_label(kind, known):
    """Labels of which some are missing, and the complete ones."""
    numbers = np.arange(40) % 3
    if kind == "rows":
        full = np.eye(3)[numbers]
        return np.where(known[:, None], full, np.nan), full
    full = {"classes": numbers, "labels": np.eye(3, dtype=int)[numbers]}.get(
        kind, numbers % 2
    )
    missing = np.nan if kind == "binary nan" else -1
    return np.where(
        known if full.ndim == 1 else known[:, None], full, missing
    ), full


@pytest.mark.parametrize(
    ("kind", "units", "activation"),
    [
        ("classes", 3, "softmax"),
        ("rows", 3, "softmax"),
        ("labels", 3, "sigmoid"),
        ("binary", 1, "sigmoid"),
        ("binary nan", 1, "sigmoid"),
    ],
)
def test_an_example_without_a_label_counts_only_against_the_teacher(
    kind, units, activation
):
    student, teacher = model(units, activation), model(units, activation)
    known = np.arange(40) >= 5
    y, full = _no_label(kind, known)
    weights = RNG.uniform(0.5, 1.5, size=40)
    found = measured(student, (X, y, weights), teacher)
    alone = measured(student, (X[known], full[known], weights[known]))
    plain = measured(student, (X, full, weights), teacher)
    of_teacher = {"agreement", "teacher_kl"}
    for name, value in found.to_dict().items():
        expected = plain if name in of_teacher | {"num_examples"} else alone
        expected = getattr(expected, name)
        if isinstance(value, float):
            expected = pytest.approx(expected, rel=1e-9)
        if isinstance(value, list):
            assert value == pytest.approx(expected, rel=1e-9)
        else:
            assert value == expected, name
    y, _ = _no_label(kind, np.zeros(40, bool))
    found = measured(student, (X, y, weights), teacher)
    assert found == measured(student, (X, None, weights), teacher)
    assert found.accuracy is None


@pytest.mark.parametrize(
    ("units", "activation"), [(3, "softmax"), (3, "sigmoid"), (1, "sigmoid")]
)
def test_other_negative_numbers_are_no_labels(units, activation):
    shape = (40, 3) if activation == "sigmoid" and units == 3 else 40
    with pytest.raises(ValueError, match="or -1 for no label.*dataset=-2"):
        measured(model(units, activation), (X, np.full(shape, -2)))


def test_void_pixels():
    inputs = keras.Input((4, 4, 1))
    student = keras.Model(inputs, keras.layers.Conv2D(3, 1)(inputs))
    x = RNG.normal(size=(6, 4, 4, 1)).astype("float32")
    y = RNG.integers(-1, 3, (6, 4, 4))
    found = measured(student, (x, y), student)
    chosen = np.asarray(student(x)).argmax(-1)
    known = y >= 0
    iou = metrics.jaccard_score(y[known], chosen[known], average="macro")
    assert found.mean_iou == pytest.approx(iou)
    assert found.accuracy == pytest.approx((chosen == y)[known].mean())
    assert found.agreement == 1.0
