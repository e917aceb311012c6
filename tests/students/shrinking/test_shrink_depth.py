"""students.shrink(depth=...): which blocks go, and which stay."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_kd.students import convnet
from keras_kd.students import mlp
from keras_kd.students import resnet
from keras_kd.students import shrink


def names(model):
    return {layer.name for layer in model.layers}


def test_residual_blocks_go_and_transitions_stay():
    teacher = resnet((8, 8, 3), 10, depth=20)
    student = shrink(teacher, width=1.0, depth=1 / 3)
    # Of 3 + 2 + 2 identity blocks, 1 of each run stays: the last.
    gone = {"stage_1_block_1", "stage_1_block_2", "stage_2_block_2"} | {
        "stage_3_block_2"
    }
    lost = {x for x in names(teacher) - names(student) if "conv" in x}
    assert lost == {f"{block}_{i}_conv" for block in gone for i in (1, 2)}
    assert {"stage_1", "stage_1_add", "stage_3_add"} <= names(student)


def test_parameters_fall_by_those_of_the_removed_blocks():
    teacher = resnet((8, 8, 3), 10, depth=20)
    student = shrink(teacher, width=1.0, depth=1 / 3)
    per_block = {c: 2 * (9 * c * c + 4 * c) for c in (16, 32, 64)}
    removed = 2 * per_block[16] + per_block[32] + per_block[64]
    assert teacher.count_params() - student.count_params() == removed
    assert np.isfinite(student(np.ones((2, 8, 8, 3)))).all()


def test_a_chain_loses_layers_with_their_norm_and_activation():
    teacher = convnet((8, 8, 1), 10, filters=(4, 8), convs_per_stage=4)
    student = shrink(teacher, width=1.0, depth=0.3)
    # Runs of 3 (4 channels) and 3 (8 channels): one of each stays.
    removed = 2 * (9 * 4 * 4 + 4 * 4) + 2 * (9 * 8 * 8 + 4 * 8)
    assert teacher.count_params() - student.count_params() == removed
    assert {"stage_1", "stage_2"} <= names(student)


def test_a_sequential_chain():
    teacher = keras.Sequential(
        [keras.Input((6,))]
        + [layers.Dense(8, activation="relu", name=f"d{i}") for i in range(5)]
        + [layers.Dense(8, activation="softmax", name="head")]
    )
    student = shrink(teacher, width=0.5, depth=0.5)
    assert [x.name for x in student.layers[1:]] == ["d0", "d1", "d4", "head"]


def test_an_mlp_and_width_together():
    student = shrink(mlp((6,), 3, hidden=(8, 8, 8)), width=0.5, depth=0.5)
    assert student.count_params() == 6 * 4 + 4 + 4 * 4 + 4 + 4 * 3 + 3


@pytest.mark.slow
def test_blocks_inside_nested_models():
    inner = resnet((8, 8, 3), 10, depth=20)
    inputs = keras.Input((8, 8, 3))
    student = shrink(keras.Model(inputs, inner(inputs)), depth=1 / 3)
    lost = names(inner) - names(student.get_layer("resnet20"))
    assert "stage_1_block_1_1_conv" in lost


def test_an_addition_around_other_blocks_stays():
    inputs = keras.Input((8, 8, 3))
    outer = x = layers.Conv2D(4, 3, padding="same")(inputs)
    for i in range(2):
        branch = layers.Conv2D(4, 3, padding="same", name=f"branch_{i}")(x)
        x = layers.Add(name=f"inner_{i}")([x, branch])
    x = layers.Add(name="outer")([outer, x])
    x = layers.GlobalAveragePooling2D()(x)
    teacher = keras.Model(inputs, layers.Dense(3)(x))
    student = shrink(teacher, width=1.0, depth=0.5)
    assert names(teacher) - names(student) == {"inner_0", "branch_0"}


def test_one_add_layer_used_in_several_places_stays():
    add = layers.Add(name="add")
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    for _ in range(2):
        x = add([x, layers.Conv2D(4, 3, padding="same")(x)])
    x = layers.GlobalAveragePooling2D()(x)
    teacher = keras.Model(inputs, layers.Dense(3)(x))
    with pytest.raises(ValueError, match="no block that keeps its shape"):
        shrink(teacher, depth=0.5)
    assert len(shrink(teacher).layers) == len(teacher.layers)


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (lambda: mlp((6,), 3, hidden=(8, 4)), "no block that keeps its shape"),
        (lambda: mlp((6,), 3, hidden=(8, 8)), r"runs have \[1\] blocks"),
    ],
    ids=["no block", "too few"],
)
def test_nothing_to_remove_is_an_error(teacher, message):
    with pytest.raises(ValueError, match=message):
        shrink(teacher(), depth=0.8)
