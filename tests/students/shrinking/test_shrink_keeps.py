"""What a shrunk student keeps of its teacher, and what it does not."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops
from small_graphs import cnn
from small_graphs import model_of

from keras_kd.core.taps import output_kind
from keras_kd.students import resnet
from keras_kd.students import shrink


def test_a_mixed_precision_policy_stays():
    inputs = keras.Input((8,))
    x = layers.Dense(8, dtype="mixed_float16", name="half")(inputs)
    x = layers.Dense(3, dtype="mixed_float16")(x)
    x = layers.Activation("softmax", dtype="float32", name="last")(x)
    student = shrink(keras.Model(inputs, x))
    assert student.get_layer("half").compute_dtype == "float16"
    assert student.get_layer("half").variable_dtype == "float32"
    assert student.outputs[0].dtype == "float32"


def test_statistics_of_a_normalization_layer_are_copied():
    data = np.random.default_rng(0).normal(3, 2, size=(50, 4))
    norm = layers.Normalization(name="norm")
    norm.adapt(data)
    inputs = keras.Input((4,))
    x = layers.Dense(8, activation="relu")(norm(inputs))
    student = shrink(keras.Model(inputs, layers.Dense(2)(x)))
    features = keras.Model(student.input, student.get_layer("norm").output)
    expected = (data - data.mean(0)) / data.std(0)
    np.testing.assert_allclose(features(data), expected, rtol=1e-5, atol=1e-5)


def test_the_teacher_is_unchanged_and_nothing_is_shared():
    teacher = cnn()
    before = [weight.numpy().copy() for weight in teacher.weights]
    config = teacher.get_config()
    student = shrink(teacher, width=1.0)
    for weight in student.weights:
        weight.assign(keras.ops.ones_like(weight))
    for weight, value in zip(teacher.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)
    assert teacher.get_config() == config
    assert all(len(x._inbound_nodes) == 1 for x in teacher.layers)


def test_weights_differ_between_calls_unless_the_seed_is_set():
    seeded = keras.initializers.HeNormal(seed=3)
    teacher = model_of(layers.Conv2D(8, 3, kernel_initializer=seeded))
    kernels = [shrink(teacher).layers[1].kernel.numpy() for _ in range(2)]
    assert np.abs(kernels[0] - kernels[1]).max() > 0.01
    again = []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        again.append(shrink(teacher).layers[1].kernel.numpy())
    np.testing.assert_array_equal(*again)


def test_the_student_is_not_compiled_and_trains():
    teacher = cnn()
    teacher.compile("sgd", "sparse_categorical_crossentropy")
    student = shrink(teacher)
    assert not student.compiled
    student.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    before = student.get_layer("first").kernel.numpy()
    images = np.random.default_rng(0).normal(size=(8, 8, 8, 1))
    student.fit(images, np.arange(8) % 10, verbose=0)
    assert np.abs(student.get_layer("first").kernel.numpy() - before).max() > 0


def test_the_student_is_saved_and_loaded(tmp_path):
    student = shrink(resnet((8, 8, 1), 10, depth=8), width=0.25)
    student.save(tmp_path / "student.keras")
    loaded = keras.models.load_model(tmp_path / "student.keras")
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 1))
    np.testing.assert_allclose(student(images), loaded(images), rtol=1e-6)


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (lambda z: ops.softmax(z / 2.0), "logits"),
        (lambda z: layers.Softmax()(layers.Rescaling(0.5)(z)), "logits"),
        (lambda z: ops.sigmoid(ops.clip(z, -9, 9)), "binary_logits"),
    ],
    ids=["softmax of a half", "of a layer", "sigmoid of clipped"],
)
def test_operations_before_a_softmax_that_goes(end, kind):
    x = keras.Input((6,))
    hidden = layers.Dense(8, activation="relu")(x)
    teacher = keras.Model(x, end(layers.Dense(4)(hidden)))
    student = shrink(teacher, width=1.0, initialize="teacher")
    assert output_kind(student) == kind
    data = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
    z = student.predict(data, verbose=0).astype("float64")
    exact = np.exp(z) / (
        np.exp(z).sum(-1, keepdims=True) if kind == "logits" else 1 + np.exp(z)
    )
    found = teacher.predict(data, verbose=0)
    np.testing.assert_allclose(exact, found, atol=1e-6)
