"""Hints, restated in NumPy."""

import keras
import numpy as np
import pytest
from keras import layers
from loss_references import check_reference
from loss_references import reference_cases
from loss_rows import Row

import keras_kd
from keras_kd.losses import Hint

pytestmark = pytest.mark.eager

RNG = np.random.default_rng(1)
TEACHER = RNG.normal(size=(6, 4, 5))
STUDENT = RNG.normal(size=(6, 4, 5))


def squared(t, s, labels=None):
    return ((t - s) ** 2).mean(-1)


def joined_by_kernel_one(t, s, labels, loss):
    kernel, bias = (np.asarray(w, "float64") for w in loss.weights)
    return squared(t, s @ kernel[0] + bias)


def cosine_distance(t, s):
    norms = np.linalg.norm(t, axis=-1) * np.linalg.norm(s, axis=-1)
    return 1 - (t * s).sum(-1) / norms


CONTRACT = [
    Row(Hint, squared, any_widths=True),
    Row(
        Hint,
        squared,
        {"teacher_layer": "a", "student_layer": "b"},
        TEACHER,
        STUDENT,
    ),
    Row(
        Hint,
        joined_by_kernel_one,
        {"teacher_layer": "a", "student_layer": "b"},
        TEACHER,
        STUDENT[..., :3],
    ),
]


@pytest.mark.parametrize("case", reference_cases("fitnet"))
def test_reference(case):
    loss = Hint(data_format="channels_first")
    check_reference(case, loss, "features")


def test_the_cosine_restated():
    loss = Hint(metric="cosine")
    expected = cosine_distance(TEACHER, STUDENT)
    found = loss.per_position(TEACHER, STUDENT).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    same = loss(3 * TEACHER, TEACHER).numpy()
    np.testing.assert_allclose(same, 0, atol=1e-12)
    zero = loss(np.zeros((2, 3)), np.ones((2, 3))).numpy()
    np.testing.assert_array_equal(zero, 1)


@pytest.mark.parametrize("student", [(4, 4, 3), (8, 8, 3), (5, 2, 6)], ids=str)
def test_channels_first_gives_the_same(student):
    maps = RNG.normal(size=(2, 4, 4, 6)), RNG.normal(size=(2, *student))
    last, first = Hint(), Hint(data_format="channels_first")
    turned = [np.moveaxis(each, -1, 1) for each in maps]
    first(*turned)
    last(*maps)
    first.set_weights(last.get_weights())
    np.testing.assert_allclose(first(*turned), last(*maps), rtol=1e-6)


def test_several_layers_have_adapters_of_their_own():
    teachers = [TEACHER, np.ones((6, 8)), STUDENT]
    students = [TEACHER, np.ones((6, 2)), STUDENT[..., :2]]
    names = ["one", "two", "three"]
    loss = Hint(teacher_layer=names, student_layer=names)
    found = loss(teachers, students).numpy()
    assert loss.adapters[0] is None
    vectors, maps = loss.adapters[1:]
    expected = squared(np.ones((6, 8)), vectors(students[1]).numpy())
    expected += squared(STUDENT, maps(students[2]).numpy()).mean(1)
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_given_list_of_adapters_is_used_in_order():
    adapters = [layers.Dense(5, name="one"), layers.Dense(8, name="two")]
    names = {"teacher_layer": ["a", "b"], "student_layer": ["a", "b"]}
    loss = Hint(adapter=adapters, **names)
    loss([TEACHER, np.ones((6, 8))], [TEACHER[..., :2], np.ones((6, 3))])
    assert [each.kernel.shape for each in adapters] == [(2, 5), (3, 8)]
    assert not loss.adapters
    again = Hint.from_config(loss.get_config())
    assert [each.units for each in again.adapter] == [5, 8]
    loss = Hint(adapter=adapters, teacher_layer="a", student_layer="b")
    with pytest.raises(ValueError, match=r"list of 1, one.*one.*two"):
        loss(TEACHER, STUDENT)


@pytest.mark.parametrize("pooled", [1, 2])
def test_masked_sequences_of_equal_and_of_other_lengths(pooled):
    tokens = np.array([[1, 2, 3, 0], [4, 0, 0, 0]])

    def model(units, pool):
        inputs = keras.Input((4,), dtype="int32")
        x = layers.Embedding(5, units, mask_zero=True, name="tokens")(inputs)
        x = layers.AveragePooling1D(pool, name="read")(x)
        return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))

    teacher, student = model(3, pooled), model(2, 1)
    name = "tokens" if pooled == 1 else "read"
    loss = Hint(teacher_layer=name, student_layer="tokens")
    distiller = keras_kd.Distiller(teacher, student, loss, alpha=1.0)
    distiller.compile(keras.optimizers.SGD(0.0))
    logs = distiller.fit(tokens, verbose=0).history["hint"]
    maps = [
        np.asarray(
            keras.Model(each.inputs, each.get_layer(read).output)(tokens)
        )
        for each, read in ((teacher, name), (student, "tokens"))
    ]
    values = loss.per_position(*maps).numpy()
    expected = values[tokens > 0].mean() if pooled == 1 else values.mean()
    assert logs[0] == pytest.approx(expected, rel=1e-5)


def cnn(filters, stride, name):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(filters, 3, stride, "same", name="maps"),
            layers.ReLU(name="active"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(3, name="logits"),
        ],
        name=name,
    )


def test_hints_bring_the_layer_closer_and_are_no_part_of_the_student(tmp_path):
    x = RNG.normal(size=(16, 8, 8, 1)).astype("float32")
    teacher, student = cnn(6, 2, "teacher"), cnn(3, 1, "student")
    loss = Hint(teacher_layer="maps", student_layer="maps")
    distiller = keras_kd.Distiller(teacher, student, loss, alpha=1.0)
    distiller.compile(keras.optimizers.Adam(0.05))
    logs = distiller.fit(x, epochs=6, verbose=0).history["hint"]
    assert logs[-1] < 0.7 * logs[0]
    assert student.count_params() == cnn(3, 1, "other").count_params()
    kernel = loss.adapters[0].get_weights()
    assert loss.adapters[0].kernel.shape == (3, 3, 3, 6)

    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    (again,) = loaded.distillation_losses
    for one, other in zip(again.adapters[0].get_weights(), kernel, strict=True):
        np.testing.assert_array_equal(one, other)
    loaded.teacher = teacher
    more = loaded.fit(x, verbose=0).history["hint"]
    assert np.isfinite(more).all()
    assert np.abs(again.adapters[0].get_weights()[0] - kernel[0]).max() > 0


@pytest.mark.slow
def test_the_hinted_layer_tells_more_of_the_teachers_on_new_data():
    def model(units):
        return keras.Sequential(
            [
                keras.Input((8,)),
                layers.Dense(units, name="hidden"),
                layers.Dense(3),
            ]
        )

    x, new = np.random.default_rng(2).normal(size=(2, 256, 8)).astype("float32")
    teacher, student = model(2), model(3)
    loss = Hint(teacher_layer="hidden", student_layer="hidden")
    distiller = keras_kd.Distiller(teacher, student, loss, alpha=1.0)
    distiller.compile(keras.optimizers.Adam(0.2))

    def unexplained():
        """What the best linear map of the student's layer leaves."""
        t, s = (
            np.asarray(each.get_layer("hidden")(new))
            for each in (teacher, student)
        )
        return ((t - s @ np.linalg.lstsq(s, t, rcond=None)[0]) ** 2).mean()

    before = unexplained()
    distiller.fit(x, epochs=10, batch_size=256, verbose=0)
    assert unexplained() < 0.3 * before


def test_embeddings_of_two_widths_are_joined_by_a_dense_layer():
    teacher, student = (
        keras.Sequential([keras.Input((5,)), layers.Dense(units)])
        for units in (16, 4)
    )
    loss = Hint(metric="cosine")
    distiller = keras_kd.Distiller(
        teacher,
        student,
        loss,
        alpha=1.0,
        teacher_output="embedding",
        student_output="embedding",
    )
    distiller.compile(keras.optimizers.Adam(0.1))
    x = RNG.normal(size=(64, 5)).astype("float32")
    logs = distiller.fit(x, epochs=8, batch_size=64, verbose=0).history["hint"]
    assert loss.adapters[0].kernel.shape == (4, 16)
    assert student.count_params() == 24
    assert logs[-1] < 0.5 * logs[0]


def test_layers_are_compared_through_a_given_adapter(tmp_path):
    def model(units, name):
        return keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(units, name="hidden"),
                layers.Dense(3),
            ],
            name=name,
        )

    teacher, student = model(6, "teacher"), model(2, "student")
    loss = Hint(
        teacher_layer="hidden",
        student_layer="hidden",
        adapter=layers.Dense(6, name="adapter"),
    )
    distiller = keras_kd.Distiller(teacher, student, loss, alpha=1.0)
    distiller.compile(keras.optimizers.SGD(0.0))
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


def test_a_vector_and_a_map_are_refused_when_the_distiller_is_made():
    loss = Hint(teacher_layer="maps", student_layer="pool")
    with pytest.raises(
        ValueError,
        match=r"`hint` needs .* as many axes.*teacher \(None, 4, 4, 6\), "
        r"student \(None, 3\)\. Choose layers",
    ):
        keras_kd.Distiller(cnn(6, 2, "teacher"), cnn(3, 1, "student"), loss)


def test_a_given_adapter_must_return_the_teachers_shape():
    with pytest.raises(ValueError, match=r"`adapter`.*\(2, 3\).*\(2, 7\)"):
        Hint(adapter=layers.Dense(7))(np.ones((2, 3)), np.ones((2, 4)))


def test_a_wrong_metric_lists_the_right_ones():
    with pytest.raises(ValueError, match="squared_error.*cosine"):
        Hint(metric="euclid")
