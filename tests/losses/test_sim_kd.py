"""SimKD, and a student that ends in the teacher's classifier."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from loss_rows import Row
from toys import FROM_LOGITS

import keras_kd
from keras_kd.losses import SimKD

RNG = np.random.default_rng(206)
TEACHER = RNG.normal(size=(6, 4, 2, 3))
STUDENT = RNG.normal(size=(6, 4, 2, 3))


def squared(teacher, student, labels):
    return ((teacher - student) ** 2).mean((1, 2, 3))


CONTRACT = Row(SimKD, squared, teacher=TEACHER, student=STUDENT)


@pytest.mark.parametrize("traced", [False, True], ids=["eager", "traced"])
def test_the_larger_map_is_pooled_to_the_smaller(traced):
    loss = SimKD()
    function = tf.function(loss) if traced else loss
    wide = TEACHER.reshape(6, 2, 2, 2, 3).mean(2)  # 4 rows become 2
    column = TEACHER.mean((1, 2), keepdims=True)
    for student in (STUDENT[:, :2], STUDENT[:, :1, :1]):
        smaller = wide if student.shape[1] == 2 else column
        exact = squared(smaller, student, None)
        assert function(TEACHER, student).numpy() == pytest.approx(exact)
        assert function(student, TEACHER).numpy() == pytest.approx(exact)


def test_what_it_needs():
    assert SimKD(teacher_layer="maps").student_layer == "projector"
    with pytest.raises(ValueError, match="teacher's 3 channels.*teacher_head"):
        SimKD()(TEACHER, STUDENT[..., :2])
    with pytest.raises(ValueError, match="`student_layer`.*as many layers"):
        SimKD(teacher_layer=["a", "b"])


def network(filters, *classifier):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(filters, 3, strides=2, padding="same"),
            layers.ReLU(),
            layers.Conv2D(filters, 3, padding="same"),
            layers.ReLU(name="maps"),
            layers.GlobalAveragePooling2D(name="pool"),
            *classifier,
        ]
    )


@pytest.mark.slow
@pytest.mark.export
def test_a_student_with_the_teachers_head_from_fit_to_files(tmp_path):
    """Nobody shows the student a label; the teacher's head classifies."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 300)
    images = random.uniform(0, 0.5, (300, 8, 8, 1)).astype("float32")
    for image, label in zip(images, labels, strict=True):
        image[:, 3 * label : 3 * label + 2] += 0.5
    teacher = network(16, layers.Dense(3, name="classes"))
    teacher.compile(
        keras.optimizers.Adam(0.01), FROM_LOGITS, metrics=["accuracy"]
    )
    teacher.fit(images, labels, epochs=8, verbose=0)
    assert teacher.evaluate(images, labels, verbose=0)[1] > 0.95

    student = keras_kd.students.with_teacher_head(
        teacher, network(4), teacher_layer="maps", student_layer="maps"
    )
    distiller = keras_kd.Distiller(
        teacher, student, SimKD(teacher_layer="maps"), alpha=1.0
    )
    distiller.compile(keras.optimizers.Adam(0.01), metrics=["accuracy"])
    history = distiller.fit(images, epochs=10, verbose=0).history
    assert history["sim_kd"][-1] < 0.5 * history["sim_kd"][0]
    head = teacher.get_layer("classes").get_weights()
    copy = student.get_layer("teacher_classes")
    for old, new in zip(head, copy.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    found = keras_kd.evaluate(student, (images, labels), teacher=teacher)
    assert found.accuracy > 0.9
    assert found.agreement > 0.9

    distiller.student.save(tmp_path / "student.keras")
    loaded = keras.models.load_model(tmp_path / "student.keras")
    np.testing.assert_array_equal(
        loaded.predict(images, verbose=0), student.predict(images, verbose=0)
    )
    assert not loaded.get_layer("teacher_classes").trainable
    results = keras_kd.export.tflite_files(
        loaded,
        {kind: tmp_path / f"{kind}.tflite" for kind in ("float32", "int8")},
        calibration=images,
        verify=(images, labels),
    )
    assert all(result.passed for result in results.values())
    file = tmp_path / "int8.tflite"
    assert keras_kd.evaluate(file, (images, labels)).accuracy > 0.9


def test_a_student_without_the_layer():
    teacher = network(3, layers.Dense(3))
    distil = keras_kd.Distiller
    with pytest.raises(ValueError, match="`student_layer` to name a layer"):
        distil(teacher, network(3), SimKD(teacher_layer="maps"), alpha=1.0)
    with pytest.raises(ValueError, match="`sim_kd` needs `teacher_layer`"):
        distil(teacher, network(3), SimKD(), alpha=1.0)
