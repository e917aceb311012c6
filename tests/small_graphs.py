"""Small teachers for `shrink`, and their parameters in closed form."""

import keras
import numpy as np
from keras import layers


def conv_params(kernel, inputs, outputs, bias=True):
    return kernel * kernel * inputs * outputs + (outputs if bias else 0)


def cnn(head="softmax", filters=(8, 16)):
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(filters[0], 3, activation="relu", name="first")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Conv2D(filters[1], 3, activation="relu", name="second")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = layers.Dense(10, activation=head, name="head")(x)
    return keras.Model(inputs, outputs, name="cnn")


def model_of(*tail, shape=(6, 6, 4), units=3):
    """Input, what the test is about, pooling and a head."""
    inputs = keras.Input(shape)
    x = inputs
    for layer in tail:
        x = layer(x)
    if len(x.shape) > 2:
        x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(units, name="head")(x))


def run(model):
    """Feed one random batch, and check that the outputs are finite."""
    rng = np.random.default_rng(0)
    data = [rng.normal(size=(2, *t.shape[1:])) for t in model.inputs]
    data = [x.astype("float32") for x in data]
    outputs = model(data if len(data) > 1 else data[0], training=False)
    for output in keras.tree.flatten(outputs):
        assert np.isfinite(keras.ops.convert_to_numpy(output)).all()
    return outputs
