"""students.with_teacher_head: backbone, projector, the teacher's head."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_kd.students import with_teacher_head

IMAGES = np.random.default_rng(7).normal(size=(4, 8, 8, 1)).astype("float32")
LAYERS = {"teacher_layer": "maps", "student_layer": "maps"}


def chain(filters, *head, strides=2):
    """A Sequential model whose layer `maps` is followed by a head."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(filters, 3, strides, "same", name="conv"),
            layers.ReLU(name="maps"),
            *head,
        ]
    )


def pooling():
    return layers.GlobalAveragePooling2D(name="pool"), dense()


def dense():
    return layers.Dense(3, "softmax", name="classes")


def head_of(teacher, maps):
    """The teacher's layers behind `maps`, run one by one."""
    for layer in teacher.layers[2:]:
        maps = layer(maps)
    return maps


@pytest.mark.parametrize(
    "strides", [1, 2, 4], ids=["larger", "equal", "smaller"]
)
def test_it_is_the_teachers_head_on_the_projector(strides):
    teacher = chain(6, *pooling())
    student = chain(2, *pooling(), strides=strides)
    before = [layer.output for layer in teacher.layers]
    joined = with_teacher_head(teacher, student, **LAYERS)
    both = keras.Model(
        joined.input, [joined.get_layer("projector").output, joined.output]
    )
    maps, outputs = both(IMAGES)
    size = {1: 4, 2: 4, 4: 2}[strides]
    assert maps.shape == (4, size, size, 6)
    np.testing.assert_allclose(outputs, head_of(teacher, maps), rtol=1e-6)
    assert joined.name == student.name
    assert joined.layers[1] is student.layers[0]
    assert joined.layers[-1].name == "teacher_classes"
    assert joined.layers[-1] is not teacher.layers[-1]
    assert not joined.layers[-1].trainable_variables
    # The teacher's graph is as before.
    for layer, tensor in zip(teacher.layers, before, strict=True):
        assert layer.output is tensor


def test_the_projector_is_the_published_one():
    teacher, student = chain(9, *pooling()), chain(4, *pooling())
    joined = with_teacher_head(teacher, student, **LAYERS, reduction=3)
    kernels = [
        layer.kernel.shape
        for layer in joined.layers
        if layer.name.startswith("projector") and hasattr(layer, "kernel")
    ]
    assert kernels == [(1, 1, 4, 3), (3, 3, 3, 3), (1, 1, 3, 9)]
    assert len(joined.trainable_variables) == 2 + 3 * 3


def test_a_head_of_shared_layers_branches_and_operations():
    x = inputs = keras.Input((8, 8, 1))
    maps = layers.Conv2D(6, 3, 2, "same", name="maps")(x)
    shared = layers.Conv2D(5, 1, name="shared")
    left = layers.GlobalMaxPooling2D(name="left")(shared(maps))
    right = layers.GlobalAveragePooling2D(name="right")(shared(maps * 2.0))
    norm = layers.BatchNormalization(name="norm")(left + right, training=False)
    outputs = {"one": layers.Dense(3, name="one")(norm), "two": norm}
    teacher = keras.Model(inputs, outputs)
    student = chain(2, *pooling())
    joined = with_teacher_head(teacher, student, **LAYERS)
    behind = keras.Model(maps, teacher.output)
    both = keras.Model(
        joined.input, [joined.get_layer("projector").output, joined.output]
    )
    seen, found = both(IMAGES, training=True)
    expected = behind(seen)
    for name in ("one", "two"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)


def test_a_layer_that_is_a_model_gives_maps_too():
    inputs = keras.Input((8, 8, 1))
    body = keras.Model(inputs, layers.Conv2D(6, 3, 2)(inputs), name="maps")
    teacher = keras.Sequential([keras.Input((8, 8, 1)), body, *pooling()])
    joined = with_teacher_head(teacher, chain(2, *pooling()), **LAYERS)
    assert joined(IMAGES).shape == (4, 3)


def test_a_flat_head_needs_the_teachers_size():
    teacher = chain(6, layers.Flatten(name="flat"), dense())
    joined = with_teacher_head(teacher, chain(2, strides=1), **LAYERS)
    assert joined(IMAGES).shape == (4, 3)
    with pytest.raises(
        ValueError, match=r"`student_layer`.*\(4, 4, 6\).*gives \(2, 2, 6\)"
    ):
        with_teacher_head(teacher, chain(2, strides=4), **LAYERS)
    teacher = chain(6, layers.Conv2D(3, 1))  # classes of pixels
    with pytest.raises(ValueError, match="a layer whose map"):
        with_teacher_head(teacher, chain(2, strides=4), **LAYERS)


def test_a_head_that_takes_more_than_the_map():
    maps = layers.ReLU(name="maps")(inputs := keras.Input((8, 8, 1)))
    outputs = layers.Concatenate()([maps, inputs])
    teacher = keras.Model(inputs, outputs)
    with pytest.raises(ValueError, match="`teacher_layer` to be in front of"):
        with_teacher_head(teacher, chain(2, *pooling()), **LAYERS)
    with pytest.raises(ValueError, match="`teacher_layer` to be in front of"):
        with_teacher_head(chain(6), chain(2, *pooling()), **LAYERS)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"teacher_layer": "pool"}, ValueError, "that gives maps"),
        ({"student_layer": "mops"}, ValueError, "Did you mean 'maps'"),
        ({"reduction": 0}, ValueError, "`reduction` to be an integer"),
        ({"teacher": "cache"}, TypeError, "`teacher` to be a built Functional"),
        ({"student": keras.Sequential()}, TypeError, "`student` to be a built"),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else "",
)
def test_bad_arguments(change, error, match):
    arguments = {
        "teacher": chain(6, *pooling()),
        "student": chain(2, *pooling()),
        **LAYERS,
    }
    with pytest.raises(error, match=match):
        with_teacher_head(**(arguments | change))
