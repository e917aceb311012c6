"""students.shrink(rules=...): layers that the caller narrows."""

import keras
import numpy as np
import pytest
from keras import layers
from small_graphs import cnn
from small_graphs import run

from keras_kd.students import shrink


def transformer():
    inputs = keras.Input((6, 4))
    x = layers.Dense(16, name="embed")(inputs)
    attended = layers.MultiHeadAttention(2, 8, name="attention")(x, x)
    x = layers.Add(name="sum")([x, attended])
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(x))


def narrower(layer, config, old_shapes, new_shapes, width):
    for key in ("key_dim", "value_dim"):
        config[key] = round(width * config[key])
    return config


def test_a_rule_gives_a_config():
    student = shrink(
        transformer(), width=0.5, rules={layers.MultiHeadAttention: narrower}
    )
    attention = student.get_layer("attention")
    assert attention.key_dim == 4
    # 8 inputs, 2 heads of 4: three projections in, one out.
    assert attention.count_params() == 4 * (8 * 8 + 8)
    run(student)


def test_a_rule_gives_a_layer_and_is_told_the_shapes():
    told = []

    def rule(layer, config, old_shapes, new_shapes, width):
        told.append((layer.name, config["units"], old_shapes, new_shapes))
        return layers.Dense(5, name=layer.name)

    inputs = keras.Input((4,))
    x = layers.Conv1D(16, 1, name="wide")(layers.Reshape((1, 4))(inputs))
    x = layers.Dense(8, name="ruled")(layers.Flatten()(x))
    teacher = keras.Model(
        inputs, layers.Conv1D(2, 1)(layers.Reshape((-1, 1))(x))
    )
    student = shrink(
        keras.Model(inputs, layers.Flatten()(teacher.output)),
        width=0.5,
        rules={layers.Dense: rule},
    )
    assert told == [("ruled", 8, [(16,)], [(8,)])]
    assert student.get_layer("ruled").units == 5


def test_the_rule_of_the_nearest_class_counts():
    class Mine(layers.Dense):
        pass

    inputs = keras.Input((4,))
    x = layers.Dense(8, name="plain")(Mine(8, name="mine")(inputs))
    keep = {Mine: lambda layer, config, old, new, width: config}
    student = shrink(
        keras.Model(inputs, layers.Dense(2)(x)), width=0.5, rules=keep
    )
    assert student.get_layer("mine").units == 8
    assert student.get_layer("plain").units == 4
    run(student)


def test_the_teachers_weights_with_a_rule_that_narrows():
    teacher = transformer()
    student = shrink(
        teacher,
        width=0.5,
        rules={layers.MultiHeadAttention: narrower},
        initialize="teacher",
    )
    norms = np.abs(teacher.get_layer("embed").kernel.numpy()).sum(axis=0)
    kept = np.sort(np.argsort(-norms)[:8])
    np.testing.assert_array_equal(
        student.get_layer("embed").kernel,
        teacher.get_layer("embed").kernel.numpy()[:, kept],
    )
    np.testing.assert_array_equal(
        student.get_layer("head").kernel,
        teacher.get_layer("head").kernel.numpy()[kept],
    )


def test_the_teachers_weights_of_a_layer_that_a_rule_keeps():
    inputs = keras.Input((4,))
    x = layers.Dense(6, activation="relu", name="kept")(inputs)
    x = layers.PReLU(name="follower")(x)
    teacher = keras.Model(inputs, layers.Dense(2, name="head")(x))
    rules = {layers.Dense: lambda layer, config, old, new, width: config}
    student = shrink(teacher, width=0.5, rules=rules, initialize="teacher")
    x = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_array_equal(student(x), teacher(x))


def test_the_teachers_weights_after_a_rule_of_another_width():
    inputs = keras.Input((4,))
    x = layers.Conv1D(8, 1, name="ruled")(layers.Reshape((1, 4))(inputs))
    x = layers.Dense(2, name="head")(layers.Flatten()(x))
    rules = {
        layers.Conv1D: lambda layer, config, *rest: config | {"filters": 3}
    }
    with pytest.raises(ValueError, match="`head`.*lost at `ruled`"):
        shrink(
            keras.Model(inputs, x),
            width=0.5,
            rules=rules,
            initialize="teacher",
        )


def test_the_refusal_names_the_layer_and_the_hook():
    inputs = keras.Input((6, 4))
    x = layers.EinsumDense("btc,cd->btd", (6, 8), name="mix")(inputs)
    outputs = layers.Dense(3)(layers.GlobalAveragePooling1D()(x))
    message = r"`mix` .*rules=\{EinsumDense: function\}"
    with pytest.raises(ValueError, match=message):
        shrink(keras.Model(inputs, outputs))


@pytest.mark.parametrize(
    "rules", [[layers.Dense], {"Dense": narrower}, {layers.Dense: 3}]
)
def test_rules_of_the_wrong_type(rules):
    with pytest.raises(TypeError, match="from layer classes to functions"):
        shrink(cnn(), rules=rules)


def test_a_rule_that_gives_something_else():
    rules = {layers.Conv2D: lambda *arguments: None}
    with pytest.raises(ValueError, match="`first`.*neither a config nor"):
        shrink(cnn(), rules=rules)
