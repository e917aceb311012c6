"""students.shrink(initialize="teacher"): the channels that count most."""

import keras
import numpy as np
import pytest
from keras import layers
from small_graphs import cnn
from small_graphs import model_of

from keras_kd import Distiller
from keras_kd import students
from keras_kd.data import digits
from keras_kd.students import shrink


def randomized(model, seed=0):
    """Weights and statistics that no two channels share."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        values = rng.normal(size=weight.shape, scale=0.3)
        if weight.name in ("gamma", "moving_variance"):
            values = 1 + np.abs(values)
        weight.assign(values)
    return model


def data(model, count=4):
    rng = np.random.default_rng(1)
    shape = (count, *model.input_shape[1:])
    if "int" in str(model.inputs[0].dtype):
        return rng.integers(1, 9, size=shape)
    return rng.normal(size=shape).astype("float32")


def silence(model, names, share=0.5, seed=2):
    """Zero channels of layers, drawn per layer; they then give nothing."""
    rng = np.random.default_rng(seed)
    for group in names:
        gone = None
        for name in group:
            layer = model.get_layer(name)
            for weight in layer.weights:
                size = weight.shape[-1]
                if gone is None:
                    count = round(share * size)
                    gone = rng.permutation(size)[:count]
                values = weight.numpy()
                keep = weight.name == "moving_variance"
                values[..., gone] = 1 if keep else 0
                weight.assign(values)
    return model


def silence_units(layer, gone):
    """Zero all gates of units of 8; such a unit stays at 0, as it starts."""
    values = [w.numpy() for w in layer.weights]
    for value in values:
        value.reshape(*value.shape[:-1], -1, 8)[..., gone] = 0
    layer.set_weights(values)


def same(student, teacher):
    x = data(teacher)
    expected = teacher(x, training=False)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(
        student(x, training=False), expected, rtol=1e-4, atol=1e-5
    )


FAMILIES = {
    "mlp": ((20,), {}),
    "resnet": ((8, 8, 3), {"depth": 8}),
    "mobilenet_v3": ((16, 16, 3), {"width": 0.25}),
    "shufflenet_v2": ((16, 16, 3), {"width": 0.5}),
    "ds_cnn": ((49, 10, 1), {"width": 0.25}),
    "text_transformer": ((8,), {"vocabulary_size": 10, "depth": 1}),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * ("_" in name))
        for name in FAMILIES
    ],
)
def test_at_full_width_the_student_is_the_teacher(name):
    shape, arguments = FAMILIES[name]
    teacher = randomized(getattr(students, name)(shape, 5, **arguments))
    student = shrink(teacher, width=1.0, initialize="teacher")
    x = data(teacher)
    np.testing.assert_array_equal(
        student(x, training=False), teacher(x, training=False)
    )


def residual():
    """Additions, a concatenation, squeeze-and-excite, depthwise, flatten."""
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    x = layers.BatchNormalization(name="stem_norm")(x)
    branch = layers.Conv2D(12, 3, padding="same", name="inner")(x)
    branch = layers.ReLU()(branch)
    branch = layers.DepthwiseConv2D(
        3, padding="same", depth_multiplier=2, name="depthwise"
    )(branch)
    gate = layers.GlobalAveragePooling2D()(branch)
    gate = layers.Reshape((1, 1, 24))(gate)
    gate = layers.Conv2D(6, 1, activation="relu", name="squeeze")(gate)
    gate = layers.Conv2D(24, 1, activation="sigmoid", name="excite")(gate)
    branch = layers.Multiply()([branch, gate])
    x = layers.Add()([x, layers.Conv2D(8, 1, name="outer")(branch)])
    y = layers.Conv2D(4, 3, padding="same", name="side")(x)
    x = layers.Concatenate()([x, y])
    x = layers.Flatten()(layers.MaxPooling2D()(x * 1.5))
    x = layers.Dense(16, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(5, name="head")(x))


def test_silent_channels_are_the_ones_that_go():
    teacher = randomized(residual())
    silence(teacher, [["stem", "stem_norm", "outer"], ["side"], ["hidden"]])
    silence(teacher, [["squeeze"]])
    # The gate of a channel is made by a layer that shares its choice.
    depthwise = teacher.get_layer("depthwise")
    kernel, inner = depthwise.kernel.numpy(), teacher.get_layer("inner")
    gone = [0, 3, 4, 7, 9, 11]
    weights = [w.numpy() for w in inner.weights]
    for values in weights:
        values[..., gone] = 0
    inner.set_weights(weights)
    kernel[..., gone, :] = 0
    bias = depthwise.bias.numpy().reshape(12, 2)
    bias[gone] = 0
    depthwise.set_weights([kernel, bias.ravel()])
    excite = teacher.get_layer("excite")
    weights = [w.numpy().reshape(-1, 12, 2) for w in excite.weights]
    for values in weights:
        values[:, gone] = 0
    excite.set_weights([weights[0].reshape(1, 1, 6, 24), weights[1].ravel()])
    student = shrink(teacher, width=0.5, initialize="teacher")
    assert student.get_layer("stem").filters == 4
    assert student.get_layer("inner").filters == 6
    assert student.get_layer("hidden").units == 8
    same(student, teacher)


def test_separable_convolutions():
    teacher = randomized(
        model_of(
            layers.Conv2D(8, 1, name="first"),
            layers.SeparableConv2D(8, 3, depth_multiplier=2, name="second"),
        )
    )
    silence(teacher, [["first"]])
    second = teacher.get_layer("second")
    values = [w.numpy() for w in second.weights]
    for value in values[1:]:
        value[..., [1, 2, 5, 7]] = 0
    second.set_weights(values)
    same(shrink(teacher, width=0.5, initialize="teacher"), teacher)


def test_grouped_convolutions_keep_as_many_in_each_group():
    teacher = randomized(
        model_of(
            layers.Conv2D(8, 1, name="first"),
            layers.Conv2D(12, 3, groups=2, name="grouped"),
        )
    )
    first, grouped = teacher.get_layer("first"), teacher.get_layer("grouped")
    for layer, gone in ((first, [0, 3, 4, 5]), (grouped, [0, 1, 5, 6, 8, 9])):
        values = [w.numpy() for w in layer.weights]
        for value in values:
            value[..., gone] = 0
        layer.set_weights(values)
    student = shrink(teacher, width=0.5, initialize="teacher")
    assert student.get_layer("grouped").filters == 6
    same(student, teacher)


@pytest.mark.parametrize(
    "kind",
    ["LSTM", "SimpleRNN", pytest.param("GRU", marks=pytest.mark.slow)],
)
def test_recurrent_layers(kind):
    recurrent = getattr(layers, kind)
    inputs = keras.Input((5, 4))
    x = recurrent(8, return_sequences=True, name="lower")(inputs)
    x = recurrent(8, name="upper")(x)
    teacher = randomized(keras.Model(inputs, layers.Dense(3)(x)))
    for name in ("lower", "upper"):
        silence_units(teacher.get_layer(name), [1, 2, 4, 6])
    student = shrink(teacher, width=0.5, initialize="teacher")
    assert student.get_layer("upper").units == 4
    same(student, teacher)


@pytest.mark.parametrize(
    "merge_mode",
    [
        "concat",
        pytest.param("sum", marks=pytest.mark.slow),
        pytest.param(None, marks=pytest.mark.slow),
    ],
)
def test_both_directions_keep_what_counts(merge_mode):
    lower = layers.Bidirectional(layers.LSTM(8, return_sequences=True))
    upper = layers.Bidirectional(layers.GRU(8), merge_mode, name="upper")
    inputs = keras.Input((5, 4))
    x = upper(lower(inputs))
    x = layers.Concatenate()(x) if merge_mode is None else x
    teacher = randomized(keras.Model(inputs, layers.Dense(3)(x)))
    # Each direction may lose others, unless they become one channel.
    others = [0, 1, 5, 7] if merge_mode == "concat" else [1, 2, 4, 6]
    for layer, gone in (
        (lower.forward_layer, [1, 2, 4, 6]),
        (lower.backward_layer, [0, 1, 5, 7]),
        (upper.forward_layer, [1, 2, 4, 6]),
        (upper.backward_layer, others),
    ):
        silence_units(layer, gone)
    student = shrink(teacher, width=0.5, initialize="teacher")
    both = student.get_layer("upper")
    assert (both.forward_layer.units, both.backward_layer.units) == (4, 4)
    same(student, teacher)


def test_an_embedding_and_transposed_convolutions():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 8, name="embedding")(inputs)
    x = layers.Conv1DTranspose(8, 3, name="up")(x)
    x = layers.PReLU(shared_axes=[1])(x)
    x = layers.GlobalMaxPooling1D()(x)
    teacher = randomized(keras.Model(inputs, layers.Dense(3)(x)))
    silence(teacher, [["embedding"]])
    up = teacher.get_layer("up")
    kernel, bias = (w.numpy() for w in up.weights)
    kernel[:, [0, 2, 3, 7]], bias[[0, 2, 3, 7]] = 0, 0
    up.set_weights([kernel, bias])
    same(shrink(teacher, width=0.5, initialize="teacher"), teacher)


def test_nested_models_and_shared_layers():
    inner_input = keras.Input((8,))
    inner_output = layers.Dense(8, activation="relu", name="deep")(inner_input)
    inner = keras.Model(inner_input, inner_output, name="inner")
    left, right = keras.Input((4,)), keras.Input((4,))
    shared = layers.Dense(8, name="shared")
    x = layers.Concatenate()([inner(shared(left)), inner(shared(right))])
    teacher = randomized(keras.Model([left, right], layers.Dense(3)(x)))
    gone = [0, 2, 4, 5]
    for layer in (shared, inner.get_layer("deep")):
        values = [w.numpy() for w in layer.weights]
        for value in values:
            value[..., gone] = 0
        layer.set_weights(values)
    student = shrink(teacher, width=0.5, initialize="teacher")
    assert student.get_layer("inner").get_layer("deep").units == 4
    x = [np.ones((2, 4)), np.random.default_rng(0).normal(size=(2, 4))]
    np.testing.assert_allclose(student(x), teacher(x), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_removed_block_has_no_say():
    teacher = randomized(students.resnet((8, 8, 3), 5, depth=14))
    student = shrink(teacher, width=1.0, depth=0.4, initialize="teacher")
    for layer in student.layers:
        for mine, theirs in zip(
            layer.get_weights(),
            teacher.get_layer(layer.name).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(mine, theirs)
    assert shrink(teacher, width=0.5, depth=0.4, initialize="teacher")


@pytest.mark.slow
def test_a_trained_teacher_gives_a_head_start():
    (x, y), (test_x, test_y) = digits()
    teacher = students.mlp((8, 8, 1), 10, hidden=(128,))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    teacher.compile("adam", loss)
    teacher.fit(x, y, batch_size=32, epochs=8, verbose=0)
    accuracies = {}
    for initialize in (None, "teacher"):
        student = shrink(teacher, width=0.5, initialize=initialize)
        student.compile("sgd", loss, metrics=["accuracy"])
        before = student.evaluate(test_x, test_y, verbose=0)[1]
        distiller = Distiller(teacher, student, alpha=1.0)
        distiller.compile(keras.optimizers.SGD(0.01))
        distiller.fit(x, batch_size=32, verbose=0)
        after = student.evaluate(test_x, test_y, verbose=0)[1]
        accuracies[initialize] = before, after
    assert accuracies["teacher"][0] > 0.3, "ten classes"
    assert accuracies["teacher"][1] > accuracies[None][1]


def test_another_head_starts_at_random_on_the_teachers_features():
    teacher = randomized(cnn())
    student = shrink(teacher, width=1.0, num_classes=4, initialize="teacher")
    np.testing.assert_array_equal(
        student.get_layer("second").kernel, teacher.get_layer("second").kernel
    )
    assert np.abs(student.get_layer("head").bias).max() == 0


@pytest.mark.slow
def test_channels_that_cannot_be_followed():
    teacher = students.shufflenet_v2((16, 16, 3), 5, width=0.5)
    with pytest.raises(ValueError, match=r"lost at `get_item.*\(GetItem\)"):
        shrink(teacher, width=0.5, initialize="teacher")


def test_a_word_that_is_none_of_the_choices():
    with pytest.raises(ValueError, match="Did you mean 'teacher'"):
        shrink(cnn(), initialize="teachers")
