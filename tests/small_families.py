"""One small member of every family, for the tests that take them all."""

from functools import partial

import numpy as np

from keras_kd import students

IMAGE = (12, 12, 1)
TEXT = (9,)
NUM_TOKENS = 30
# Builder with a width of its own, and a layer that feature losses can tap.
SMALL = {
    "convnet": (partial(students.convnet, IMAGE, filters=(8, 16)), "stage_1"),
    "ds_cnn": (
        partial(students.ds_cnn, IMAGE, kernel_size=(3, 3), width=0.25),
        "stage_2",
    ),
    "mlp": (partial(students.mlp, IMAGE, width=0.02), "hidden_1"),
    "mobilenet_v2": (
        partial(students.mobilenet_v2, IMAGE, width=0.25),
        "stage_3",
    ),
    "mobilenet_v3": (
        partial(students.mobilenet_v3, IMAGE, width=0.25),
        "stage_3",
    ),
    "resnet": (partial(students.resnet, IMAGE, depth=8), "stage_2"),
    "shufflenet_v2": (
        partial(students.shufflenet_v2, IMAGE, width=0.25),
        "stage_2",
    ),
    "text_cnn": (
        partial(students.text_cnn, TEXT, width=0.1, vocabulary_size=NUM_TOKENS),
        "conv_4",
    ),
    "text_transformer": (
        partial(
            students.text_transformer,
            TEXT,
            width=0.25,
            vocabulary_size=NUM_TOKENS,
        ),
        "stage_1",
    ),
    "vgg": (partial(students.vgg, IMAGE, width=0.125), "stage_3"),
    "wide_resnet": (partial(students.wide_resnet, IMAGE, depth=10), "stage_2"),
}


def small(name, num_classes=3):
    """Build the small member of a family."""
    return SMALL[name][0](num_classes=num_classes)


def tap(name):
    """Name a layer of the small member for feature losses."""
    return SMALL[name][1]


def examples(model, count=8, seed=0):
    """Draw what a family takes: token ids, or images from 0 to 1."""
    generator = np.random.default_rng(seed)
    shape = (count, *model.input_shape[1:])
    if "int" in model.inputs[0].dtype:
        return generator.integers(0, NUM_TOKENS, shape).astype("int32")
    return generator.uniform(size=shape).astype("float32")
