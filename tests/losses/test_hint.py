"""Hints, restated in NumPy."""

import keras
import numpy as np
import pytest
from loss_rows import Row

import keras_kd
from keras_kd.losses import Hint

RNG = np.random.default_rng(1)
TEACHER = RNG.normal(size=(6, 4, 5))
STUDENT = RNG.normal(size=(6, 4, 5))


def cosine_distance(t, s):
    norms = np.linalg.norm(t, axis=-1) * np.linalg.norm(s, axis=-1)
    return 1 - (t * s).sum(-1) / norms


CONTRACT = [
    Row(Hint, lambda t, s, y: ((t - s) ** 2).mean(-1)),
    Row(
        Hint,
        lambda t, s, y: ((t - s) ** 2).mean(-1),
        {"teacher_layer": "a", "student_layer": "b"},
        TEACHER,
        STUDENT,
    ),
]


def test_the_cosine_restated():
    loss = Hint(metric="cosine")
    expected = cosine_distance(TEACHER, STUDENT)
    found = loss.per_position(TEACHER, STUDENT).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    same = loss(3 * TEACHER, TEACHER).numpy()
    np.testing.assert_allclose(same, 0, atol=1e-12)
    zero = loss(np.zeros((2, 3)), np.ones((2, 3))).numpy()
    np.testing.assert_array_equal(zero, 1)


def test_layers_are_compared_through_an_adapter(tmp_path):
    def model(units, name):
        return keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(units, name="hidden"),
                keras.layers.Dense(3),
            ],
            name=name,
        )

    teacher, student = model(6, "teacher"), model(2, "student")
    loss = Hint(
        teacher_layer="hidden",
        student_layer="hidden",
        adapter=keras.layers.Dense(6, name="adapter"),
    )
    distiller = keras_kd.Distiller(teacher, student, loss, alpha=1.0)
    distiller.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    x = RNG.normal(size=(8, 4)).astype("float32")
    logs = distiller.fit(x, verbose=0).history
    kernel, bias = (np.asarray(w, "float64") for w in loss.adapter.weights)
    s = np.asarray(student.get_layer("hidden")(x)) @ kernel + bias
    t = np.asarray(teacher.get_layer("hidden")(x))
    assert logs["hint"][0] == pytest.approx(((t - s) ** 2).mean(), rel=1e-4)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    (again,) = loaded.distillation_losses
    np.testing.assert_array_equal(again.adapter.kernel, loss.adapter.kernel)


def test_other_widths_need_an_adapter():
    with pytest.raises(ValueError, match="adapter"):
        Hint(teacher_layer="a", student_layer="b")(
            np.ones((2, 3)), np.ones((2, 4))
        )


def test_a_wrong_metric_lists_the_right_ones():
    with pytest.raises(ValueError, match="squared_error.*cosine"):
        Hint(metric="euclid")
