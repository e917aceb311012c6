"""`convnet`, `mlp` and `resnet`: published sizes, names, bad arguments."""

from itertools import pairwise

import keras
import numpy as np
import pytest

from keras_kd.students import convnet
from keras_kd.students import mlp
from keras_kd.students import resnet

slow = pytest.mark.slow


def run(model, shape):
    images = np.random.default_rng(0).normal(size=(2, *shape))
    return keras.ops.convert_to_numpy(model(images, training=False))


def trainable(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


def resnet_params(depth, stem, stages, classes, channels=3):
    """Trainable parameters of RepDistiller's models/resnet.py."""
    total = 9 * channels * stem + 2 * stem
    inputs = stem
    for stage, filters in enumerate(stages):
        for block in range((depth - 2) // 6):
            total += 9 * inputs * filters + 9 * filters**2 + 4 * filters
            if inputs != filters or (stage and not block):
                total += inputs * filters + 2 * filters
            inputs = filters
    return total + inputs * classes + classes


# Published for 100 classes: 0.28, 0.47, 0.86, 1.23 and 7.43 million.
@pytest.mark.parametrize(
    ("depth", "width", "stem", "stages", "published"),
    [
        (8, 1, 16, (16, 32, 64), None),
        (14, 1, 16, (16, 32, 64), None),
        (20, 1, 16, (16, 32, 64), 278_324),
        pytest.param(32, 1, 16, (16, 32, 64), 472_756, marks=slow),
        pytest.param(56, 1, 16, (16, 32, 64), 861_620, marks=slow),
        (8, 4, 32, (64, 128, 256), 1_233_540),
        pytest.param(32, 4, 32, (64, 128, 256), 7_433_860, marks=slow),
    ],
)
def test_resnets_have_the_published_sizes(
    depth, width, stem, stages, published
):
    model = resnet((32, 32, 3), 100, width=width, depth=depth)
    assert trainable(model) == resnet_params(depth, stem, stages, 100)
    assert published in (None, trainable(model))
    assert model.name == f"resnet{depth}" + ("" if width == 1 else "x4")


@pytest.mark.slow
def test_resnet110_has_the_published_size():
    model = resnet((32, 32, 3), 100, depth=110)
    assert trainable(model) == 1_736_564


@pytest.mark.parametrize("shape", [(8, 8, 1), (7, 9, 2), (1, 1, 3)])
@pytest.mark.parametrize("family", [convnet, resnet], ids=["convnet", "resnet"])
def test_any_image_size(family, shape):
    kwargs = {"depth": 8} if family is resnet else {}
    model = family(shape, 5, width=0.25, **kwargs)
    outputs = run(model, shape)
    assert outputs.shape == (2, 5)
    assert np.isfinite(outputs).all()


def test_unknown_height_and_width():
    model = convnet((None, None, 3), 5, width=0.1)
    assert run(model, (9, 11, 3)).shape == (2, 5)


def test_the_stages_of_a_resnet_can_be_tapped():
    model = resnet((16, 16, 3), 10, width=0.5, depth=14)
    shapes = {
        name: model.get_layer(name).output.shape[1:]
        for name in ("stem", "stage_1", "stage_2", "stage_3", "pool", "logits")
    }
    assert shapes == {
        "stem": (16, 16, 8),
        "stage_1": (16, 16, 8),
        "stage_2": (8, 8, 16),
        "stage_3": (4, 4, 32),
        "pool": (32,),
        "logits": (10,),
    }
    assert model.get_layer("stage_2_add").output.shape == (None, 8, 8, 16)
    assert model.get_layer("stage_2_block_1").output.shape == (None, 8, 8, 16)


def test_the_stages_of_a_convnet_can_be_tapped():
    model = convnet((28, 28, 1), 10, width=0.5)
    shapes = [model.get_layer(f"stage_{i}").output.shape[1:] for i in (1, 2, 3)]
    assert shapes == [(28, 28, 16), (14, 14, 32), (7, 7, 64)]


def test_convnet_parameters_equal_the_closed_form():
    model = convnet((8, 8, 1), 10, filters=(4, 8), convs_per_stage=1)
    assert model.count_params() == 36 + 16 + 9 * 4 * 8 + 32 + 8 * 10 + 10


@pytest.mark.parametrize(
    ("hidden", "width"), [((1200, 1200), 1.0), ((800, 800), 1.0), ((800,), 0.1)]
)
def test_mlp_parameters_equal_the_closed_form(hidden, width):
    model = mlp((28, 28, 1), 10, width=width, hidden=hidden)
    sizes = [784, *[round(units * width) for units in hidden], 10]
    pairs = pairwise(sizes)
    assert model.count_params() == sum(a * b + b for a, b in pairs)


def test_mlp_regularization_of_the_paper():
    model = mlp((4,), 2, dropout=0.5, input_dropout=0.2, max_norm=3, width=0.01)
    rates = [x.rate for x in model.layers if hasattr(x, "rate")]
    assert rates == [0.2, 0.5, 0.5]
    assert model.get_layer("hidden_2").kernel_constraint.max_value == 3


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: convnet((32, 32), 10), ValueError, r"input_shape=\(32, 32\)"),
        (lambda: convnet((32, 32, None), 10), ValueError, "channels"),
        (lambda: convnet((0, 8, 1), 10), ValueError, "positive integers"),
        (lambda: convnet(32, 10), TypeError, "input_shape=32"),
        (lambda: mlp((), 10), ValueError, r"input_shape=\(\)"),
        (lambda: mlp((None,), 10), ValueError, "positive integers"),
        (lambda: mlp((4,), 10, hidden=8), TypeError, "hidden=8"),
        (lambda: mlp((4,), 10, hidden=(8, 0)), ValueError, "hidden=0"),
        (lambda: mlp((4,), 10, dropout=1), ValueError, "less than 1"),
        (lambda: mlp((4,), 10, dropout=-1), ValueError, "dropout=-1"),
        (lambda: mlp((4,), 10, max_norm=0), ValueError, "max_norm=0"),
        (lambda: mlp((4,), 0), ValueError, "num_classes=0"),
        (lambda: mlp((4,), "ten"), TypeError, "num_classes='ten'"),
        (lambda: resnet((8, 8, 1), 2, width=0), ValueError, "width=0"),
        (lambda: resnet((8, 8, 1), 2, width=float("nan")), ValueError, "nan"),
        (lambda: resnet((8, 8, 1), 2, depth=18), ValueError, "are 14 and 20"),
        (lambda: resnet((8, 8, 1), 2, depth=2), ValueError, "depth=2"),
        (lambda: convnet((8, 8, 1), 2, filters=()), TypeError, "filters"),
        (
            lambda: convnet((8, 8, 1), 2, convs_per_stage=0),
            ValueError,
            "convs_per_stage=0",
        ),
    ],
)
def test_bad_arguments(build, error, message):
    with pytest.raises(error, match=message):
        build()
