"""The other image families: published sizes, strides, names, arguments."""

import itertools
from itertools import pairwise

import keras
import numpy as np
import pytest
from exhaustive import rest_when_asked

from keras_kd.students import ds_cnn
from keras_kd.students import mobilenet_v2
from keras_kd.students import mobilenet_v3
from keras_kd.students import shufflenet_v2
from keras_kd.students import vgg
from keras_kd.students import wide_resnet

CIFAR = (32, 32, 3)
IMAGENET = (224, 224, 3)


def trainable(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


# WRN-28-10 has 36.5 million in Zagoruyko and Komodakis 2016, table 4; the
# others are the parameters of RepDistiller's models/wrn.py.
@pytest.mark.parametrize(
    ("depth", "width", "classes", "published"),
    [
        (16, 2, 100, 703_284),
        pytest.param(40, 1, 100, 569_780, marks=pytest.mark.slow),
        pytest.param(40, 2, 100, 2_255_156, marks=pytest.mark.slow),
        pytest.param(28, 10, 10, 36_479_194, marks=pytest.mark.slow),
    ],
)
def test_wide_resnets_have_the_published_sizes(
    depth, width, classes, published
):
    model = wide_resnet(CIFAR, classes, width=width, depth=depth)
    assert trainable(model) == published
    assert model.name == f"wide_resnet{depth}x{width}"


# RepDistiller's models/vgg.py, where each convolution has a bias.
@pytest.mark.parametrize(
    ("depth", "published", "biases"),
    [
        (8, 3_965_028, 64 + 128 + 256 + 512 + 512),
        (13, 9_462_180, 2 * (64 + 128 + 256 + 512 + 512)),
    ],
)
def test_vggs_have_the_published_sizes(depth, published, biases):
    assert trainable(vgg(CIFAR, 100, depth=depth)) == published - biases


@pytest.mark.slow
@pytest.mark.parametrize("depth", [16, 19])
def test_deep_vggs_have_the_convolutions_of_keras_applications(depth):
    ours = vgg(CIFAR, 10, depth=depth)
    theirs = getattr(keras.applications, f"VGG{depth}")(
        include_top=False, weights=None, input_shape=CIFAR
    )
    shapes = [
        [tuple(layer.kernel.shape) for layer in model.layers if is_conv(layer)]
        for model in (ours, theirs)
    ]
    assert shapes[0] == shapes[1]


def is_conv(layer):
    return isinstance(layer, keras.layers.Conv2D)


@pytest.mark.slow
# Parameters that torchvision documents for its models, at 1,000 classes.
@pytest.mark.parametrize(
    ("build", "published"),
    [
        (lambda: mobilenet_v2(IMAGENET, 1000), 3_504_872),
        (lambda: mobilenet_v3(IMAGENET, 1000, size="large"), 5_483_032),
        (lambda: mobilenet_v3(IMAGENET, 1000, size="small"), 2_542_856),
        (lambda: shufflenet_v2(IMAGENET, 1000, width=0.5), 1_366_792),
        (lambda: shufflenet_v2(IMAGENET, 1000, width=1.0), 2_278_604),
        (lambda: shufflenet_v2(IMAGENET, 1000, width=1.5), 3_503_624),
        (lambda: shufflenet_v2(IMAGENET, 1000, width=2.0), 7_393_996),
    ],
    ids=["v2", "v3-large", "v3-small", "0.5x", "1x", "1.5x", "2x"],
)
def test_mobile_networks_have_the_published_sizes(build, published):
    assert trainable(build()) == published


APPLICATIONS = ("MobileNetV2", "MobileNetV3Large", "MobileNetV3Small")
WIDTHS = (0.35, 1.0, 1.4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width"),
    rest_when_asked(
        [*itertools.product(APPLICATIONS, WIDTHS)],
        [*zip(APPLICATIONS, WIDTHS, strict=True)],
    ),
)
def test_mobilenets_compute_what_those_of_keras_applications_do(name, width):
    kwargs = {} if name == "MobileNetV2" else {"include_preprocessing": False}
    theirs = getattr(keras.applications, name)(
        (96, 96, 3),
        alpha=width,
        weights=None,
        classes=10,
        classifier_activation=None,
        **kwargs,
    )
    if name == "MobileNetV2":
        ours = mobilenet_v2((96, 96, 3), 10, width=width)
    else:
        size = name.removeprefix("MobileNetV3").lower()
        ours = mobilenet_v3((96, 96, 3), 10, width=width, size=size)
    assert ours.count_params() == theirs.count_params()
    for weight, other in zip(ours.weights, theirs.weights, strict=True):
        # Theirs has 1x1 convolutions after the pooling, and 1e-3 and not
        # 1e-5 is what its normalization adds to the variance.
        value = other.numpy().reshape(weight.shape)
        variance = weight.path.endswith("moving_variance")
        weight.assign(value + (1e-3 - 1e-5 if variance else 0))
    images = np.random.default_rng(0).uniform(size=(2, 96, 96, 3))
    expected = theirs(images, training=False).numpy()
    np.testing.assert_allclose(
        ours(images, training=False),
        expected.reshape(2, 10),
        atol=1e-4 * np.ptp(expected),
    )


def mobilenet_v2_params(stem, stages, classes, first_expanded):
    """Trainable parameters in closed form, last convolution 1,280 wide."""
    blocks = zip((1, 2, 3, 4, 3, 3, 1), stages, strict=True)
    total, inputs = 27 * stem + 2 * stem, stem
    for stage, (count, outputs) in enumerate(blocks):
        for _ in range(count):
            inner = 6 * inputs if stage else inputs
            if stage or first_expanded:
                total += inputs * inner + 2 * inner
            total += 9 * inner + 2 * inner + inner * outputs + 2 * outputs
            inputs = outputs
    return total + inputs * 1280 + 2 * 1280 + 1281 * classes


@pytest.mark.slow
def test_mobilenet_v2_half_against_the_distillation_papers():
    # RepDistiller's models/mobilenetv2.py (0.81 million) does not round the
    # channels to multiples of 8, and expands the first block, by 1.
    stages = (8, 12, 16, 32, 48, 80, 160)
    assert mobilenet_v2_params(16, stages, 100, True) == 812_836
    stages = (8, 16, 16, 32, 48, 80, 160)
    model = mobilenet_v2(CIFAR, 100, width=0.5)
    assert trainable(model) == mobilenet_v2_params(16, stages, 100, False)


@pytest.mark.slow
def test_shufflenet_v2_against_the_distillation_papers():
    # RepDistiller's models/ShuffleNetv2.py has a 1x1 kernel in the stem.
    model = shufflenet_v2(CIFAR, 100)
    assert trainable(model) - 8 * 3 * 24 == 1_355_528


@pytest.mark.parametrize(
    ("size", "kilobytes"),
    [("small", 38.6), ("medium", 189.2), ("large", 497.6)],
)
def test_ds_cnns_have_the_published_memory(size, kilobytes):
    # Zhang et al. 2017, table 9: bytes of the 8-bit weights, normalization
    # folded into biases, and of the largest two activations in a row.
    model = ds_cnn((49, 10, 1), 12, size=size)
    weights = sum(
        int(np.prod(w.shape))
        for w in model.trainable_weights
        if not w.path.endswith("gamma")
    )
    maps = [
        int(np.prod(layer.output.shape[1:]))
        for layer in model.layers
        if isinstance(layer, keras.layers.ReLU)
    ]
    activations = max(a + b for a, b in pairwise(maps))
    assert (weights + activations) / 1000 == pytest.approx(kilobytes, abs=0.05)
