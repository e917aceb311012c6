"""Correlation congruence, restated one pair at a time."""

import math

import keras
import numpy as np
import pytest
from loss_references import STUDENT_FEATURES
from loss_references import TEACHER_FEATURES
from loss_references import check_golden
from loss_references import check_reference
from loss_references import mean_and_gradient
from loss_references import reference_cases
from loss_rows import Row

import keras_kd
from keras_kd.losses import CorrelationCongruence

RNG = np.random.default_rng(106)
TEACHER, STUDENT = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 2, 2))
WIDE = RNG.normal(size=(6, 7))


def consecutive(teacher, student, labels):
    gaps = [
        abs(t.ravel() - s.ravel())
        for t, s in zip(teacher, student, strict=True)
    ]
    shares = np.zeros(len(gaps))
    for i in range(len(gaps) - 1):
        shares[[i, i + 1]] += gaps[i] @ gaps[i + 1] / 2
    return shares * len(gaps) / (len(gaps) - 1)


def congruent(teacher, student, labels, kernel):
    def table(features):
        rows = [x.ravel() for x in features]
        return np.array([[kernel(x @ y) for y in rows] for x in rows])

    gaps = table(teacher) - table(student)
    return (gaps**2).sum(1) / np.linalg.norm(gaps) / len(gaps)


def gaussian(product, gamma=0.4, order=2):
    terms = [
        (2 * gamma * product) ** n / math.factorial(n) for n in range(order + 1)
    ]
    return math.exp(-2 * gamma) * sum(terms)


def embedded(teacher, student, labels, loss):
    pairs = zip(loss.embeddings[0], (teacher, student), strict=True)
    rows = [
        x.reshape(len(x), -1) @ layer.kernel.numpy().astype("float64")
        for layer, x in pairs
    ]
    return consecutive(*rows, labels)


CONTRACT = [
    Row(CorrelationCongruence, consecutive, teacher=TEACHER, student=STUDENT),
    Row(
        CorrelationCongruence,
        lambda t, s, y: congruent(t, s, y, float),
        {"form": "bilinear"},
        WIDE,
        STUDENT,
    ),
    Row(
        CorrelationCongruence,
        lambda t, s, y: congruent(t, s, y, gaussian),
        {"form": "gaussian"},
        WIDE,
        STUDENT,
    ),
    Row(
        CorrelationCongruence,
        embedded,
        {"embedding": 3},
        WIDE,
        STUDENT,
        has_minimum=False,
    ),
]


def test_golden_value():
    loss = CorrelationCongruence()
    check_golden(
        loss, TEACHER_FEATURES, STUDENT_FEATURES, 8.33121848, 2.33501224
    )


@pytest.mark.parametrize("case", reference_cases("cc"))
def test_reference(case):
    names = {"repdistiller": "consecutive"}
    variant = "repdistiller" if case is None else str(case["variant"])
    more = {}
    if case is not None and "gamma" in case:
        more = {"gamma": float(case["gamma"]), "order": int(case["max_p"])}
    form = names.get(variant, variant.removeprefix("torchdistill_"))
    check_reference(case, CorrelationCongruence(form, **more), "features")


@pytest.mark.parametrize("form", ["consecutive", "bilinear", "gaussian"])
@pytest.mark.parametrize("scale", [0.0, 1e3])
def test_extreme_features_are_finite(form, scale):
    for rows in (1, 6):
        teacher = (scale * TEACHER[:rows]).astype("float32")
        student = (scale * STUDENT[:rows]).astype("float32")
        loss = CorrelationCongruence(form)
        value, slope = mean_and_gradient(
            lambda s, f=loss, t=teacher: f(t, s), student
        )
        assert np.isfinite(value)
        assert np.isfinite(slope).all()
        if rows == 1 and form == "consecutive":
            assert value == 0


def test_embeddings_are_trained_and_saved(tmp_path):
    def model(units):
        inputs = keras.Input((4,))
        hidden = keras.layers.Dense(units, name="hidden")(inputs)
        return keras.Model(inputs, keras.layers.Dense(3)(hidden))

    layers = {"teacher_layer": "hidden", "student_layer": "hidden"}
    loss = CorrelationCongruence(embedding=3, **layers)
    distiller = keras_kd.Distiller(model(7), model(4), loss, alpha=1.0)
    before = [w.numpy() for w in loss.trainable_weights]
    distiller.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    x = RNG.normal(size=(8, 4)).astype("float32")
    distiller.fit(x, batch_size=8, verbose=0)
    after = [w.numpy() for w in loss.trainable_weights]
    assert len(after) == 4
    assert all((a != b).any() for a, b in zip(before, after, strict=True))
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    (again,) = loaded.distillation_losses
    for one, other in zip(after, again.trainable_weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_two_widths_need_an_embedding():
    with pytest.raises(ValueError, match="`embedding`.*7 and 4.*128"):
        CorrelationCongruence()(WIDE, STUDENT)
    with pytest.raises(ValueError, match="consecutive.*gaussian"):
        CorrelationCongruence("linear")
