import keras
import numpy as np
import pytest
from keras import layers

from keras_kd.data.own_range import own_range


def model(*front, shape=(8, 8, 3)):
    return keras.Sequential(
        [
            keras.Input(shape),
            *front,
            layers.Conv2D(2, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )


def normalization(mean, deviation):
    return layers.Normalization(
        mean=np.full(3, mean), variance=np.full(3, deviation**2)
    )


@pytest.mark.parametrize(
    ("front", "expected"),
    [
        pytest.param([], None, id="nothing"),
        pytest.param([layers.Resizing(4, 4)], None, id="resizing"),
        pytest.param([layers.Rescaling(1 / 255)], "0..255", id="to-1"),
        pytest.param([layers.Rescaling(1 / 127.5, -1)], "0..255", id="to-pm1"),
        pytest.param([layers.Rescaling(2, -1)], "0..1", id="from-1"),
        pytest.param([layers.Rescaling(0.5, 0.5)], "-1..1", id="from-pm1"),
        pytest.param([layers.Rescaling(255.0)], "0..1", id="to-255"),
        pytest.param(
            [
                layers.RandomFlip(),
                layers.Resizing(4, 4),
                layers.Rescaling(1 / 255),
            ],
            "0..255",
            id="behind-augmentation",
        ),
        pytest.param(
            [layers.ZeroPadding2D(1), layers.Rescaling(1 / 255)],
            "0..255",
            id="behind-padding",
        ),
        pytest.param([normalization(0.45, 0.23)], "0..1", id="normalization"),
        pytest.param(
            [normalization(120.0, 60.0)], "0..255", id="normalization-bytes"
        ),
        pytest.param(
            [layers.Rescaling(1 / 255), normalization(0.45, 0.23)],
            "0..255",
            id="both",
        ),
        pytest.param(
            [layers.Conv2D(3, 1), layers.Rescaling(1 / 255)],
            None,
            id="behind-weights",
        ),
        pytest.param([layers.ReLU(max_value=6)], None, id="activation"),
    ],
)
def test_first_layers(front, expected):
    assert own_range(model(*front)) == expected


@pytest.mark.parametrize(
    "application", ["mobilenet_v2", "resnet", "densenet", "inception_v3"]
)
def test_the_arithmetic_of_applications(application):
    prepare = getattr(keras.applications, application).preprocess_input
    inputs = keras.Input((8, 8, 3))
    outputs = model()(prepare(inputs))
    assert own_range(keras.Model(inputs, outputs)) == "0..255"


def test_layers_nested_twice():
    inner = model(layers.Rescaling(1 / 255))
    middle = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.RandomFlip(), inner]
    )
    inputs = keras.Input((8, 8, 3))
    assert own_range(keras.Model(inputs, middle(inputs))) == "0..255"


def test_models_that_do_not_tell():
    both = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    two = keras.Model(both, layers.Add()(both))
    assert own_range(two) is None
    assert (
        own_range(keras.Sequential([keras.Input((3,)), layers.Dense(2)]))
        is None
    )
