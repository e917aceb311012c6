"""What can be read from a model, layer by layer."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_kd.core.layer_outputs import outline


def found(model):
    return outline(model, subject="Distiller", role="teacher")


def paths(model):
    return [layer.path for layer in found(model).layers]


def backbone(name="backbone"):
    inputs = keras.Input((None, None, 3))
    x = layers.ZeroPadding2D(name="frame")(inputs)
    x = layers.Conv2D(4, 3, 2, name="conv")(x)
    x = layers.Dropout(0.5, name="dropout")(x)
    return keras.Model(inputs, layers.ReLU(name="relu")(x), name=name)


@pytest.mark.parametrize("head", ["softmax", "linear"])
def test_layers_in_running_order_without_frames_repeats_and_the_head(head):
    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(0.5, name="scale")(inputs)
    x = backbone()(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(5, name="logits")(x)
    model = keras.Model(inputs, layers.Activation(head, name="head")(x))
    outlined = found(model)
    assert outlined.inputs == [(8, 8, 3)]
    assert outlined.layers == [
        ("scale", "Rescaling", (8, 8, 3)),
        ("backbone/conv", "Conv2D", (4, 4, 4)),
        ("backbone/relu", "ReLU", (4, 4, 4)),
        ("pool", "GlobalAveragePooling2D", (4,)),
    ]


def test_a_relu_at_the_end_is_no_head():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(2, 1, name="conv")(inputs)
    model = keras.Model(inputs, layers.Activation("relu")(x))
    assert paths(model) == ["conv"]


def test_sequential_and_open_sizes():
    model = keras.Sequential(
        [backbone(), layers.GlobalMaxPooling2D(), layers.Dense(2, name="out")]
    )
    model.build((None, None, None, 3))
    outlined = found(model)
    assert outlined.inputs == [(256, 256, 3)]
    assert outlined.layers[0] == ("backbone/conv", "Conv2D", (128, 128, 4))


class Block(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(4)

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, x):
        return x + self.dense(x)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = Block(name="first")
        self.twice = layers.Dense(4, name="twice")
        self.tokens = layers.Embedding(9, 4, name="tokens")
        self.out = layers.Dense(2, name="out")

    def call(self, x):
        return self.out(self.twice(self.twice(self.first(self.tokens(x)))))


def test_subclassed_models_and_layers_with_layers_inside():
    model = Subclassed()
    model(np.zeros((1, 7), "int32"))
    assert paths(model) == ["tokens", "first"]


def test_an_unbuilt_model_is_refused():
    with pytest.raises(ValueError, match="needs `teacher` to be a built model"):
        found(keras.Sequential([layers.Dense(2)]))
