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
    loss._banks["student"].assign(student)
    loss._banks["teacher"].assign(teacher)
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


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", reference_cases("crd"))
def test_reference(case, dtype):
    if case is None:
        pytest.skip("needs KERAS_KD_REFERENCE, the folder of the arrays")
    banks = [f"memory_{role}" for role in ("student", "teacher")]
    loss = with_banks(
        *(case[name] for name in banks),
        temperature=float(case["temperature"]),
        momentum=float(case["momentum"]),
    )
    total = 0.0
    layered = "embed_student_kernel" in case
    if layered:
        for role in ("student", "teacher"):
            loss._kernels[role] = [
                tf.Variable(case[f"embed_{role}_{name}"], dtype="float32")
                for name in ("kernel", "bias")
            ]
    for step in ("", "_step1")[: int(case["num_steps"])]:
        index = case[f"contrast_index{step}"]
        teacher = tf.constant(case[f"teacher_features{step}"].astype(dtype))

        def value(s, teacher=teacher, index=index):
            if layered:
                teacher, s = (
                    loss.embed(x, role)
                    for x, role in ((teacher, "teacher"), (s, "student"))
                )
            return loss.contrast(teacher, s, index, training=True)

        found, slope = mean_and_gradient(
            value, case[f"student_features{step}"].astype(dtype)
        )
        total += found
        expected = case[f"grad_student_features{step}"]
        limit = 1e-6 * np.abs(expected).max()
        if dtype == "float32":
            limit = float(case["suggested_grad_atol_f32"])
        assert np.abs(slope - expected).max() <= limit
        for name in banks:
            bank = loss._banks[name.removeprefix("memory_")].numpy()
            assert bank == pytest.approx(case[f"{name}_after{step}"], abs=2e-7)
    limit = 1e-6 * float(case["value"])
    if dtype == "float32":
        limit = float(case["suggested_atol_f32"])
    assert abs(total - float(case["value"])) <= limit
    for role in ("student", "teacher"):
        found = float(loss._scales[role])
        assert found == pytest.approx(float(case[f"z_{role}"]), rel=1e-5)
