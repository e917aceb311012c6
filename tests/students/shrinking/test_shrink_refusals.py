"""students.shrink: what it refuses, and what it says."""

import keras
import pytest
from keras import layers

from keras_kd.students import mlp
from keras_kd.students import shrink
from keras_kd.students.shrinking.recipe import reshaped


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)


def functional(*tail, shape=(6, 6, 4)):
    inputs = keras.Input(shape)
    x = inputs
    for layer in tail:
        x = layer(x)
    return keras.Model(inputs, x, name="teacher")


def head():
    return [layers.Flatten(), layers.Dense(3, name="head")]


def added_to_the_input():
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(3, 3, padding="same")(inputs)
    x = layers.Add(name="meeting")([inputs, x])
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))


def mixed():
    inputs = keras.Input((6, 4))
    x = layers.Dense(8)(inputs)
    x = layers.EinsumDense("btc,ts->bsc", (6, 8), name="mix")(x)
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))


def quantized():
    teacher = mlp((8,), 3, hidden=(8,))
    teacher.quantize("int8")
    return teacher


def nested_subclassed():
    return functional(Subclassed(), shape=(4,))


REFUSED = {
    "subclassed": (Subclassed, "built Functional or Sequential"),
    "nested subclassed": (nested_subclassed, "is subclassed"),
    "not built": (
        lambda: keras.Sequential([layers.Dense(3)]),
        "Add a keras.Input",
    ),
    "lambda": (
        lambda: functional(
            layers.Conv2D(8, 3), layers.Lambda(lambda x: x, name="l"), *head()
        ),
        r"`l` \(Lambda\) cannot: a Lambda may hold any code",
    ),
    "einsum": (mixed, "`mix`.*has weights of a width of its own"),
    "wrapper": (
        lambda: functional(
            layers.TimeDistributed(layers.Conv1D(8, 1, groups=2), name="each"),
            *head(),
            shape=(5, 6, 4),
        ),
        r"`each` \(TimeDistributed\) cannot: the groups inside it",
    ),
    "input in an addition": (
        added_to_the_input,
        "What is added to the model's input keeps its width",
    ),
    "reshape": (
        lambda: functional(
            layers.Flatten(),
            layers.Dense(21),
            lambda x: keras.ops.flip(x, axis=-1),
            layers.Reshape((7, 3), name="grid"),
            *head(),
        ),
        r"`grid` \(Reshape\) cannot: it makes \(7, 3\) of \(21,\)",
    ),
    "quantized": (quantized, "`hidden_1`.*give the float model"),
    "lost before the output": (
        lambda: functional(
            layers.Dense(16), lambda x: x + keras.ops.flip(x, axis=-1)
        ),
        r"size of every output.*would become \(None, 6, 6, 8\).*`flip",
    ),
    "no head at all": (
        lambda: functional(layers.Flatten()),
        "layer before its head",
    ),
    "only a head": (
        lambda: functional(*head()),
        "layer before its head",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_narrowed_is_refused(case):
    build, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as error:
        shrink(build(), width=0.5)
    assert str(error.value).startswith("`students.shrink` needs `teacher`")


def test_classes_need_a_head():
    teacher = functional(layers.Dense(32), layers.Dense(16))
    merged = layers.Add(name="sum")([teacher.output, teacher.output])
    with pytest.raises(ValueError, match=r"one Dense.*but from `sum`"):
        shrink(keras.Model(teacher.input, merged), num_classes=3)


@pytest.mark.parametrize("teacher", ["teacher.keras", None, 3])
def test_a_teacher_that_is_no_model(teacher):
    with pytest.raises(TypeError, match="Received: teacher="):
        shrink(teacher)


@pytest.mark.parametrize("argument", ["width", "depth"])
@pytest.mark.parametrize("value", [0, -0.5, 1.5, float("nan")])
def test_shares_outside_their_range(argument, value):
    with pytest.raises(ValueError, match=f"`{argument}` to be a finite number"):
        shrink(mlp((4,), 2), **{argument: value})


def test_arguments_of_the_wrong_type():
    with pytest.raises(TypeError, match="width='half'"):
        shrink(mlp((4,), 2), width="half")
    with pytest.raises(TypeError, match=r"num_classes=2\.5"):
        shrink(mlp((4,), 2), num_classes=2.5)
    with pytest.raises(ValueError, match="num_classes=0"):
        shrink(mlp((4,), 2), num_classes=0)


@pytest.mark.parametrize(
    ("target", "old", "new", "expected"),
    [
        ((1, 1, 64), (64,), (16,), (1, 1, 16)),
        ((64, 64), (8, 8, 64), (8, 8, 16), (64, 16)),
        ((64, 64), (64, 8, 8), (16, 8, 8), (16, 64)),
        ((7, 7, 64), (3136,), (784,), (7, 7, 16)),
        ((8, 8, 4, 16), (8, 8, 64), (8, 8, 32), (8, 8, 4, 8)),
        ((None, 64), (None, None, 64), (None, None, 32), (None, 32)),
        ((4, 4), (4, 4), (4, 4), (4, 4)),
        ((7, 3), (21,), (10,), None),
    ],
)
def test_reshape_targets(target, old, new, expected):
    assert reshaped(target, old, new) == expected
