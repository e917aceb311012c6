"""The image families: strides, unknown sizes, layers to tap, arguments."""

import keras
import numpy as np
import pytest

from keras_kd.students import ds_cnn
from keras_kd.students import mobilenet_v2
from keras_kd.students import mobilenet_v3
from keras_kd.students import shufflenet_v2
from keras_kd.students import vgg
from keras_kd.students import wide_resnet

STRIDED = pytest.mark.parametrize(
    "family",
    [mobilenet_v2, mobilenet_v3, shufflenet_v2],
    ids=lambda family: family.__name__,
)


def tapped(model, *names):
    return {name: model.get_layer(name).output.shape[1:] for name in names}


@pytest.mark.slow
@STRIDED
@pytest.mark.parametrize(
    ("pixels", "left"), [(28, 4), (32, 4), (64, 4), (96, 3)]
)
def test_small_images_keep_three_pixels_or_more(family, pixels, left):
    model = family((pixels, pixels, 1), 10, width=0.1)
    assert tapped(model, "head")["head"][:2] == (left, left)


@pytest.mark.slow
@STRIDED
@pytest.mark.parametrize("stride", [1, 8, 32])
def test_the_stride_can_be_chosen(family, stride):
    model = family((64, 64, 3), 10, width=0.1, stride=stride)
    size = 64 // stride
    assert tapped(model, "head")["head"][:2] == (size, size)


@pytest.mark.slow
@STRIDED
def test_of_unknown_sizes_the_published_stride_is_taken(family):
    model = family((None, None, 3), 5, width=0.1)
    assert tapped(model, "head")["head"][:2] == (None, None)
    upto = keras.Model(model.input, model.get_layer("head").output)
    images = np.zeros((1, 64, 96, 3), "float32")
    assert upto(images).shape[1:3] == (2, 3)


@pytest.mark.parametrize(
    ("pixels", "stride", "sizes"),
    [
        (32, None, [32, 16, 8, 4, 4]),
        (28, None, [28, 14, 7, 4, 4]),
        (64, None, [64, 32, 16, 8, 4]),
        (32, 16, [32, 16, 8, 4, 2]),
        (32, 2, [32, 16, 16, 16, 16]),
        (5, None, [5, 5, 5, 5, 5]),
    ],
)
def test_a_vgg_halves_its_first_stages(pixels, stride, sizes):
    model = vgg((pixels, pixels, 3), 10, width=0.02, stride=stride)
    shapes = tapped(model, *(f"stage_{i}" for i in range(1, 6)))
    assert [shape[0] for shape in shapes.values()] == sizes


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(7, 9, 2), (1, 1, 3)])
@pytest.mark.parametrize(
    "family",
    [ds_cnn, mobilenet_v2, mobilenet_v3, shufflenet_v2, vgg, wide_resnet],
    ids=lambda family: family.__name__,
)
def test_any_image_size(family, shape):
    model = family(shape, 5, width=0.1)
    images = np.random.default_rng(0).normal(size=(2, *shape))
    outputs = keras.ops.convert_to_numpy(model(images, training=False))
    assert outputs.shape == (2, 5)
    assert np.isfinite(outputs).all()


def test_the_stages_of_a_wide_resnet_can_be_tapped():
    model = wide_resnet((16, 16, 3), 10, width=0.5, depth=16)
    assert tapped(model, "stage_1", "stage_2_block_1", "stage_3", "pool") == {
        "stage_1": (16, 16, 8),
        "stage_2_block_1": (8, 8, 16),
        "stage_3": (4, 4, 32),
        "pool": (32,),
    }


def test_the_stages_of_a_mobilenet_v2_can_be_tapped():
    model = mobilenet_v2((32, 32, 3), 10, width=0.5)
    assert tapped(model, "stem", "stage_1", "stage_3", "stage_7", "pool") == {
        "stem": (32, 32, 16),
        "stage_1": (32, 32, 8),
        "stage_3": (16, 16, 16),
        "stage_7": (4, 4, 160),
        "pool": (1280,),
    }


@pytest.mark.slow
def test_the_stages_of_a_mobilenet_v3_can_be_tapped():
    model = mobilenet_v3((224, 224, 3), 10)
    assert tapped(model, "stem", "stage_1", "stage_5", "pool", "hidden") == {
        "stem": (112, 112, 16),
        "stage_1": (56, 56, 16),
        "stage_5": (7, 7, 96),
        "pool": (576,),
        "hidden": (1024,),
    }


@pytest.mark.slow
def test_half_the_channels_pass_a_shufflenet_block_as_they_are():
    model = shufflenet_v2((8, 8, 1), 3, width=0.1)
    outputs = [f"stage_1_block_{number}" for number in (1, 2)]
    taps = [model.get_layer(name).output for name in outputs]
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 1))
    before, after = keras.Model(model.input, taps)(images)
    half = before.shape[-1] // 2
    np.testing.assert_array_equal(after[..., :half], before[..., ::2])
    # The other half is filtered: each example's channels are new.
    assert np.abs(after[..., half:] - before[..., 1::2]).max() > 1e-3


@pytest.mark.slow
def test_channels_of_mobile_networks_are_multiples_of_eight():
    model = mobilenet_v3((32, 32, 3), 10, width=0.37, size="large")
    convolutions = [
        layer.filters
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    # Stem and head, 15 blocks of which 14 expand, 8 that weight channels.
    assert len(convolutions) == 2 + 15 + 14 + 2 * 8
    assert all(filters % 8 == 0 for filters in convolutions)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: vgg((8, 8, 1), 2, depth=12), ValueError, "one of 8, 11, 13"),
        (lambda: vgg((8, 8, 1), 2, stride=32), ValueError, "1, 2, 4, 8, 16"),
        (lambda: mobilenet_v2((8, 8, 1), 2, stride=3), ValueError, "stride=3"),
        (lambda: mobilenet_v2((8, 8), 2), ValueError, r"\(8, 8\)"),
        (
            lambda: mobilenet_v3((8, 8, 1), 2, size="larg"),
            ValueError,
            "Did you mean 'large'",
        ),
        (lambda: shufflenet_v2((8, 8, 1), 2, 0), ValueError, "width=0"),
        (lambda: shufflenet_v2((8, 8, 1), 0), ValueError, "num_classes=0"),
        (
            lambda: wide_resnet((8, 8, 1), 2, depth=20),
            ValueError,
            "are 16 and 22",
        ),
        (lambda: wide_resnet((8, 8, 1), 2, depth=4), ValueError, "depth=4"),
        (lambda: ds_cnn((8, 8, 1), 2, size="tiny"), ValueError, "'small'"),
        (lambda: ds_cnn((8, 8, 1), 2, kernel_size=3), TypeError, "a pair"),
        (
            lambda: ds_cnn((8, 8, 1), 2, kernel_size=(3, 0)),
            ValueError,
            "kernel_size=0",
        ),
    ],
)
def test_bad_arguments(build, error, message):
    with pytest.raises(error, match=message):
        build()
