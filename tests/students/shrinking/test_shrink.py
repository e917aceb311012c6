"""students.shrink: the student's layers, its sizes, its head."""

import keras
import numpy as np
import pytest
from keras import layers
from small_graphs import cnn
from small_graphs import conv_params
from small_graphs import model_of
from small_graphs import run

from keras_kd.students import resnet
from keras_kd.students import shrink


def test_parameters_equal_the_closed_form():
    student = shrink(cnn(), width=0.5)
    expected = conv_params(3, 1, 4) + 4 * 4 + conv_params(3, 4, 8) + 8 * 10 + 10
    assert student.count_params() == expected


@pytest.mark.parametrize(
    ("width", "filters"),
    [(1, (8, 16)), (0.7, (6, 11)), (0.25, (2, 4)), (0.01, (1, 1))],
)
def test_widths_are_rounded_and_never_zero(width, filters):
    student = shrink(cnn(), width=width)
    assert student.get_layer("first").filters == filters[0]
    assert student.get_layer("second").filters == filters[1]
    assert student.get_layer("head").units == 10


def test_names_inputs_and_types_stay():
    teacher = cnn()
    student = shrink(teacher)
    assert [x.name for x in student.layers] == [x.name for x in teacher.layers]
    assert [x.name for x in student.inputs] == ["image"]
    assert student.inputs[0].shape == teacher.inputs[0].shape
    assert student.inputs[0].dtype == teacher.inputs[0].dtype
    assert student.name == "cnn_student"


@pytest.mark.parametrize("head", ["softmax", "sigmoid", None])
def test_the_head_gives_logits(head):
    student = shrink(cnn(head))
    assert student.layers[-1].activation is keras.activations.linear
    assert student.output_shape == (None, 10)


@pytest.mark.parametrize(
    "tail",
    [
        layers.Softmax(name="last"),
        layers.Activation("softmax", name="last", dtype="float32"),
        layers.Activation("sigmoid", name="last"),
    ],
    ids=["Softmax", "float32 Activation", "sigmoid"],
)
def test_a_separate_softmax_layer_becomes_linear(tail):
    base = cnn(None)
    student = shrink(keras.Model(base.input, tail(base.output)))
    logits = keras.Model(student.input, student.get_layer("head").output)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 1))
    np.testing.assert_array_equal(student(images), logits(images))
    assert student.layers[-1].name == "last"


def test_a_softmax_operation_is_made_linear():
    base = cnn(None)
    teacher = keras.Model(base.input, keras.ops.softmax(base.output))
    student = shrink(teacher)
    logits = keras.Model(student.input, student.get_layer("head").output)
    images = np.ones((2, 8, 8, 1))
    np.testing.assert_array_equal(student(images), logits(images))


def test_num_classes_replaces_the_heads_units():
    student = shrink(cnn(), num_classes=7)
    assert student.output_shape == (None, 7)
    assert student.get_layer("head").kernel.shape == (8, 7)


def test_a_convolutional_head_with_pooling_and_reshape():
    teacher = model_of(layers.Conv2D(8, 3))
    inputs = keras.Input((6, 6, 4))
    x = layers.Conv2D(8, 3)(inputs)
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Conv2D(5, 1, name="head")(x)
    x = layers.Reshape((5,))(x)
    teacher = keras.Model(inputs, layers.Activation("softmax")(x))
    assert shrink(teacher, num_classes=3).output_shape == (None, 3)
    assert shrink(teacher).output_shape == (None, 5)


def test_a_sequential_teacher():
    teacher = keras.Sequential(name="plain")
    for layer in (
        keras.Input((20,), name="features"),
        layers.Dense(40, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(30, activation="relu"),
        layers.Dense(4, activation="softmax"),
    ):
        teacher.add(layer)
    student = shrink(teacher, width=0.1)
    assert student.count_params() == 20 * 4 + 4 + 4 * 3 + 3 + 3 * 4 + 4
    assert [x.name for x in student.layers[1:]] == [
        x.name for x in teacher.layers
    ]
    assert [x.name for x in student.inputs] == ["features"]
    run(student)


def test_a_residual_teacher():
    student = shrink(resnet((8, 8, 3), 10, depth=14), width=0.5)
    reference = resnet((8, 8, 3), 10, depth=14, width=0.5)
    assert student.count_params() == reference.count_params()
    run(student)


def test_depthwise_convolutions_keep_their_multiplier():
    teacher = model_of(
        layers.Conv2D(16, 1, use_bias=False),
        layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False),
        layers.SeparableConv2D(8, 3, use_bias=False),
        layers.GlobalAveragePooling2D(),
    )
    student = shrink(teacher, width=0.5)
    head = 4 * 3 + 3
    separable = 3 * 3 * 16 + 16 * 4
    assert student.count_params() == 4 * 8 + 9 * 8 * 2 + separable + head


@pytest.mark.parametrize("width", [0.5, 0.3])
def test_grouped_convolutions_stay_divisible(width):
    teacher = model_of(
        layers.Conv2D(16, 1, name="before"),
        layers.Conv2D(32, 3, groups=4, name="grouped"),
        layers.GroupNormalization(8, name="norm"),
    )
    student = shrink(teacher, width=width)
    expected = {0.5: (8, 16), 0.3: (4, 8)}[width]
    assert student.get_layer("before").filters == expected[0]
    assert student.get_layer("grouped").filters == expected[1]
    assert student.get_layer("grouped").groups == 4
    assert student.get_layer("norm").groups == 8
    run(student)


def test_a_group_a_channel_follows_its_input():
    teacher = model_of(
        layers.Conv2D(12, 1), layers.Conv2D(24, 3, groups=12, name="depthwise")
    )
    depthwise = shrink(teacher, width=0.25).get_layer("depthwise")
    assert (depthwise.groups, depthwise.filters) == (3, 6)


def test_group_normalization_takes_a_common_divisor():
    teacher = model_of(
        layers.Conv2D(16, 1), layers.GroupNormalization(8, name="norm")
    )
    assert shrink(teacher, width=0.25).get_layer("norm").groups == 4


def test_squeeze_and_excitation():
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(16, 3)(inputs)
    gate = layers.GlobalAveragePooling2D()(x)
    gate = layers.Reshape((1, 1, 16), name="reshape")(gate)
    gate = layers.Conv2D(4, 1, activation="relu", name="squeeze")(gate)
    gate = layers.Conv2D(16, 1, activation="sigmoid")(gate)
    x = layers.Multiply()([x, gate])
    x = layers.GlobalAveragePooling2D()(x)
    student = shrink(keras.Model(inputs, layers.Dense(5)(x)), width=0.5)
    assert student.get_layer("reshape").target_shape == (1, 1, 8)
    assert student.get_layer("squeeze").filters == 2
    run(student)


def test_operations_in_the_graph():
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, padding="same")(inputs / 255.0)
    x = x + layers.Conv2D(8, 3, padding="same")(x)
    x = keras.ops.reshape(keras.ops.mean(x, axis=(1, 2)), (-1, 8))
    student = shrink(keras.Model(inputs, layers.Dense(5)(x)))
    assert student.layers[-1].kernel.shape == (4, 5)
    run(student)


def test_concatenation_and_shared_layers():
    left, right = keras.Input((5,), name="a"), keras.Input((5,), name="b")
    shared = layers.Dense(8, name="shared")
    x = layers.Concatenate()([shared(left), shared(right)])
    teacher = keras.Model({"a": left, "b": right}, layers.Dense(3)(x))
    student = shrink(teacher)
    assert student.count_params() == 5 * 4 + 4 + 8 * 3 + 3
    images = np.ones((2, 5))
    assert student({"a": images, "b": images}).shape == (2, 3)


def test_nested_models_and_frozen_backbones():
    backbone = keras.Sequential(
        [keras.Input((6, 6, 4)), layers.Conv2D(8, 3, name="inner")],
        name="backbone",
    )
    trunk_input = keras.Input((6, 6, 4))
    trunk = keras.Model(trunk_input, backbone(trunk_input), name="trunk")
    trunk.trainable = False
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 1)(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.GlobalAveragePooling2D()(trunk(x, training=False))
    classifier = keras.Sequential(
        [keras.Input((8,)), layers.Dense(3, activation="softmax")], name="top"
    )
    teacher = keras.Model(inputs, classifier(x))
    student = shrink(teacher, num_classes=2)
    inner = student.get_layer("trunk").get_layer("backbone").get_layer("inner")
    assert inner.filters == 4
    assert student.get_layer("trunk").trainable
    assert len(student.trainable_weights) == len(student.weights) - 2
    head = student.get_layer("top").layers[-1]
    assert head.units == 2
    assert head.activation is keras.activations.linear
    run(student)


def test_several_outputs_each_keep_their_head():
    base = cnn()
    extra = layers.Dense(1, activation="sigmoid", name="extra")
    teacher = keras.Model(
        base.input,
        {"class": base.output, "flag": extra(base.get_layer("pool").output)},
    )
    student = shrink(teacher)
    shapes = {key: x.shape for key, x in run(student).items()}
    assert shapes == {"class": (2, 10), "flag": (2, 1)}
    assert student.get_layer("extra").activation is keras.activations.linear
    with pytest.raises(ValueError, match="None for a teacher with 2 outputs"):
        shrink(teacher, num_classes=4)
