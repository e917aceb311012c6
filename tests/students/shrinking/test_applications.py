"""students.shrink on every classifier of keras.applications."""

import gc

import keras
import numpy as np
import pytest
from applications import NAMES
from exhaustive import rest_when_asked

from keras_kd import Distiller
from keras_kd.students import shrink

# One of each family, with the blocks of the first run that depth can halve.
SMALLEST = [
    "ConvNeXtTiny",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "InceptionResNetV2",
    "MobileNetV2",
    "MobileNetV3Small",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "Xception",
]
QUICK = ["ConvNeXtTiny", "EfficientNetB0", "MobileNetV3Small", "ResNet50"]
PREPROCESSING = (keras.layers.Rescaling, keras.layers.Normalization)


@pytest.fixture(autouse=True)
def _drop_models():
    """The largest hold over a gigabyte: one at a time."""
    yield
    keras.backend.clear_session()
    gc.collect()


def application(name, pixels=96, **arguments):
    build = getattr(keras.applications, name)
    shape = (pixels, pixels, 3)
    return build(weights=None, input_shape=shape, classes=10, **arguments)


def images(model, count=1):
    shape = (count, *model.input_shape[1:])
    data = np.random.default_rng(0).uniform(0, 255, size=shape)
    return data.astype("float32")


def check(teacher, student):
    """A student of the whole classifier, which gives logits."""
    assert student.input_shape == teacher.input_shape
    for layer in teacher.layers:
        if isinstance(layer, PREPROCESSING):
            kept = student.get_layer(layer.name)
            assert kept.get_config() == layer.get_config()
    logits = keras.ops.convert_to_numpy(student(images(student)))
    assert logits.shape == (1, 10)
    assert np.isfinite(logits).all()
    last = student.layers[-1]
    assert last.activation is keras.activations.linear


def test_all_classifiers_are_found():
    assert len(NAMES) >= 38
    assert {*SMALLEST, "DenseNet121", "NASNetLarge"} <= {*NAMES}


@pytest.mark.slow
@pytest.mark.parametrize("name", rest_when_asked(NAMES, QUICK))
def test_it_shrinks(name):
    teacher = application(name)
    student = shrink(teacher, width=0.25, initialize="teacher")
    check(teacher, student)
    assert [x.name for x in student.layers] == [x.name for x in teacher.layers]
    # Convolutions fall to a sixteenth, biases and depthwise kernels to a
    # quarter; small widths are rounded up.
    ratio = student.count_params() / teacher.count_params()
    assert 0.055 < ratio < 0.13


@pytest.mark.slow
@pytest.mark.parametrize("name", rest_when_asked(SMALLEST, QUICK[1:3]))
def test_it_loses_blocks(name):
    teacher = application(name)
    student = shrink(teacher, width=0.25, depth=0.5)
    check(teacher, student)
    assert len(student.layers) < len(teacher.layers)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    rest_when_asked(
        ["ConvNeXtTiny", "EfficientNetB0", "InceptionResNetV2"], QUICK[1:]
    ),
)
def test_a_student_at_full_width_is_the_teacher(name):
    teacher = application(name, classifier_activation=None)
    student = shrink(teacher, width=1.0, initialize="teacher")
    data = images(teacher, 2)
    np.testing.assert_array_equal(
        student(data, training=False), teacher(data, training=False)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", rest_when_asked(QUICK[:3], QUICK[2:]))
def test_a_step_of_distillation(name):
    teacher = application(name, pixels=32)
    student = shrink(teacher, width=0.25, depth=0.5)
    head = [layer for layer in student.layers if layer.weights][-1]
    kernel = head.get_weights()[0]
    distiller = Distiller(teacher, student, alpha=1.0)
    distiller.compile("sgd", run_eagerly=True)
    history = distiller.fit(images(student, 4), verbose=0).history
    assert np.isfinite(history["loss"][0])
    assert np.abs(head.get_weights()[0] - kernel).max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNet", "MobileNetV2"])
def test_small_ones(name):
    teacher = application(name, pixels=32, alpha=0.35 if "2" in name else 0.25)
    check(teacher, shrink(teacher, width=0.25, initialize="teacher"))
