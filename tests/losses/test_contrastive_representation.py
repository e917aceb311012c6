"""Contrastive representation, restated with the loss's own weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from loss_references import STUDENT_FEATURES
from loss_references import TEACHER_FEATURES
from loss_references import mean_and_gradient
from loss_references import reference_cases
from loss_rows import Row

import keras_kd
from keras_kd.losses import ContrastiveRepresentation

RNG = np.random.default_rng(205)
TEACHER = RNG.normal(size=(6, 5))
STUDENT = RNG.normal(size=(6, 2, 2))
LAYERS = {"teacher_layer": "hidden", "student_layer": "hidden"}
X = RNG.normal(size=(12, 4)).astype("float32")


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def side(embeddings, bank, fixed, index, normalizer=None):
    """One model's side; `fixed` are the embeddings that Z is computed from."""

    def scores(u):
        rows = np.asarray(bank, "float64")[index]
        return np.exp(np.einsum("bd,bkd->bk", u, rows) / 0.07)

    z = normalizer or len(bank) * scores(fixed).mean()
    p = scores(embeddings) / z
    m = (index.shape[1] - 1) / len(bank)
    told = np.log(p[:, 0] / (p[:, 0] + m + 1e-7))
    return -told - np.log(m / (p[:, 1:] + m + 1e-7)).sum(1)


def part(loss, name):
    return next(w for w in loss.weights if w.name == name).numpy()


def embedded(features, loss, role):
    rows = features.reshape(len(features), -1)
    kernel, bias = (part(loss, f"{role}_{w}") for w in ("kernel", "bias"))
    return unit(rows @ kernel.astype("float64") + bias)


def contrasted(teacher, student, labels, loss):
    # All others are negatives; Z has no gradient.
    index = np.array([[i, *np.delete(np.arange(6), i)] for i in range(6)])
    index = index[: len(teacher)]
    t, s, first = (
        embedded(x, loss, role)
        for x, role in (
            (teacher, "teacher"),
            (student, "student"),
            (STUDENT, "student"),
        )
    )
    return side(s, part(loss, "teacher_bank"), first, index) + side(
        t, part(loss, "student_bank"), t, index
    )


CONTRACT = Row(
    ContrastiveRepresentation,
    contrasted,
    {"num_examples": 6, "dimensions": 8, "other_classes": False},
    TEACHER,
    STUDENT,
    has_minimum=False,
)


def with_banks(student, teacher, **arguments):
    """Make a loss whose banks hold these rows."""
    count, dimensions = student.shape
    loss = ContrastiveRepresentation(
        count, dimensions=dimensions, other_classes=False, **arguments
    )
    loss.build((None, dimensions), (None, dimensions))
    loss._banks["student"].rows.assign(student)
    loss._banks["teacher"].rows.assign(teacher)
    return loss


def test_the_golden_value():
    rows, columns = np.mgrid[0:20, 0:16].astype("float64")
    loss = with_banks(
        unit(np.sin(0.3 + 0.29 * (rows + 1) * (columns + 1))),
        unit(np.cos(0.7 + 0.31 * (rows + 2) * (columns + 1))),
    )
    ids = 2 * np.arange(8) % 20
    index = np.stack([ids, *[(ids + 3 * k + 1) % 20 for k in range(5)]], 1)
    value, slope = mean_and_gradient(
        lambda s: loss.contrast(tf.constant(unit(TEACHER_FEATURES)), s, index),
        unit(STUDENT_FEATURES),
    )
    assert value == pytest.approx(22.23720178, rel=1e-6)
    assert np.linalg.norm(slope) == pytest.approx(5.48871908, rel=1e-6)


def as_in(case):
    """Make the loss of a reference case and how it embeds features."""
    loss = with_banks(
        case["memory_student"],
        case["memory_teacher"],
        temperature=float(case["temperature"]),
        momentum=float(case["momentum"]),
    )
    if "embed_student_kernel" not in case:
        return loss, lambda features, role: features
    for role in ("student", "teacher"):
        loss._layers_of[role] = [
            tf.constant(case[f"embed_{role}_{name}"])
            for name in ("kernel", "bias")
        ]
    return loss, loss.embed


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", reference_cases("crd"))
def test_reference(case, dtype):
    if case is None:
        pytest.skip("needs KERAS_KD_REFERENCE, the folder of the arrays")
    exact = dtype == "float64"
    (loss, embed), total = as_in(case), 0.0
    for step in ("", "_step1")[: int(case["num_steps"])]:
        index = case[f"contrast_index{step}"]
        teacher = tf.constant(case[f"teacher_features{step}"].astype(dtype))
        value, slope = mean_and_gradient(
            lambda s, t=teacher, i=index: loss.contrast(
                embed(t, "teacher"), embed(s, "student"), i, training=True
            ),
            case[f"student_features{step}"].astype(dtype),
        )
        total += value
        expected = case[f"grad_student_features{step}"]
        limit = 1e-6 * np.abs(expected).max()
        limit = limit if exact else float(case["suggested_grad_atol_f32"])
        assert np.abs(slope - expected).max() <= limit
        for role, bank in loss._banks.items():
            after = case[f"memory_{role}_after{step}"]
            assert bank.rows.numpy() == pytest.approx(after, abs=2e-7)
    expected = float(case["value"])
    limit = 1e-6 * expected if exact else float(case["suggested_atol_f32"])
    assert abs(total - expected) <= limit
    for role in ("student", "teacher"):
        # The file calls it by the model whose embeddings are told.
        bank = loss._banks["teacher" if role == "student" else "student"]
        z, limit = float(case[f"z_{role}"]), 1e-6 if exact else 1e-5
        assert float(bank.normalizer) == pytest.approx(z, rel=limit)


def model(units, name):
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(units, name="hidden"),
            keras.layers.Dense(3),
        ],
        name=name,
    )


def distilling(loss, teacher=None, **settings):
    distiller = keras_kd.Distiller(
        teacher or model(6, "teacher"), model(2, "student"), loss, alpha=1.0
    )
    distiller.compile(keras.optimizers.Adam(0.01), **settings)
    return distiller


@pytest.mark.parametrize(
    "settings",
    [
        {"run_eagerly": True},
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"jit_compile": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_fit_remembers_by_id_and_nothing_else_does(settings):
    loss = ContrastiveRepresentation(12, dimensions=8, **LAYERS)
    distiller = distilling(loss, **settings)
    before = {w.name: w.numpy() for w in loss.weights}
    x, y = keras_kd.data.number_examples((X, np.arange(12) % 3))
    part_of_x = keras.tree.map_structure(lambda rows: rows[3:7], x)
    distiller.fit(part_of_x, y[3:7], batch_size=4, verbose=0)
    after = {w.name: w.numpy() for w in loss.weights}
    for role in ("student", "teacher"):
        moved = before[f"{role}_bank"] != after[f"{role}_bank"]
        assert moved.any(1).tolist() == [3 <= i < 7 for i in range(12)]
        lengths = np.linalg.norm(after[f"{role}_bank"][3:7], axis=1)
        assert lengths == pytest.approx(1, abs=1e-6)
        assert (before[f"{role}_kernel"] != after[f"{role}_kernel"]).any()
        assert after[f"{role}_normalizer"] > 0
    known = [-1, -2, -3, 0, 1, 2, 0, -8, -9, -10, -11, -12]
    assert after["classes"].tolist() == known
    loss(np.ones((4, 6)), np.ones((4, 2)), y[:4], example_ids=[0, 1, 2, 3])
    for weight in loss.weights:
        np.testing.assert_array_equal(weight.numpy(), after[weight.name])
    distiller.fit(part_of_x, y[3:7], batch_size=4, verbose=0)
    kept = loss._banks["student"].normalizer.numpy()
    assert kept == after["student_normalizer"]


@pytest.mark.slow
def test_the_cache_tells_the_number_and_a_file_goes_on(tmp_path):
    teacher = model(6, "teacher")
    cache = keras_kd.TeacherCache.build(
        tmp_path / "cache", teacher, X, layers=["hidden"], verbose=0
    )
    loss = ContrastiveRepresentation(dimensions=8, **LAYERS)
    distiller = distilling(loss, cache)
    data = cache.join(X)
    distiller.fit(data, batch_size=4, verbose=0)
    assert loss.num_examples == 12
    assert loss.negatives == 11
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    (again,) = loaded.distillation_losses
    for one, other in zip(loss.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    loaded.teacher = cache
    logs = [
        each.fit(data, batch_size=4, shuffle=False, verbose=0).history["loss"]
        for each in (distiller, loaded)
    ]
    assert logs[0] == pytest.approx(logs[1], rel=1e-5)
    with pytest.raises(ValueError, match="at least 12, the number of examples"):
        distilling(ContrastiveRepresentation(11, **LAYERS), cache)


@pytest.mark.parametrize(
    "eager", [True, pytest.param(False, marks=pytest.mark.slow)]
)
def test_bad_data(eager):
    loss = ContrastiveRepresentation(9, **LAYERS)
    distiller = distilling(loss, run_eagerly=eager)
    kernel = distiller.student.layers[0].kernel.numpy()
    numbered, y = keras_kd.data.number_examples((X, np.zeros(12, int)))
    with pytest.raises(ValueError, match="0 to num_examples - 1 = 8. Received"):
        distiller.fit(numbered, batch_size=12, verbose=0)
    first = keras.tree.map_structure(lambda rows: rows[:9], numbered)
    with pytest.raises(ValueError, match="two classes or more.*other_classes"):
        distiller.fit(first, y[:9], batch_size=9, verbose=0)
    np.testing.assert_array_equal(distiller.student.layers[0].kernel, kernel)


def test_bad_models():
    with pytest.raises(ValueError, match="`num_examples` to be the n"):
        distilling(ContrastiveRepresentation(**LAYERS))
    with pytest.raises(ValueError, match="`student_layer` to be a l"):
        ContrastiveRepresentation(4)(
            keras.KerasTensor((None, 3)), keras.KerasTensor((None, None, 3))
        )


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_examples": 1},
        {"num_negatives": 0},
        {"dimensions": 0},
        {"temperature": 0},
        {"momentum": 1.5},
        {"gather": False},
        {"teacher_layer": ["a", "b"], "student_layer": ["a", "b"]},
    ],
    ids=str,
)
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` to be"):
        ContrastiveRepresentation(**arguments)
