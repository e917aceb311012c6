"""Train a quantize-aware student on N logical CPUs; run by test_replicas."""

import json
import sys

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import keras_kd
from keras_kd.quantization import quantize_aware


def student():
    inputs = keras.Input((6,))
    x = layers.Dense(8, "relu", name="hidden")(inputs)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


def main(count, path, activations):
    cpus = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpus[0], [tf.config.LogicalDeviceConfiguration()] * count
    )
    devices = [f"CPU:{index}" for index in range(count)]
    x = np.random.default_rng(0).uniform(-1, 1, (64, 6)).astype("float32")
    # Both halves of each batch of 16 are the same: as are their ranges.
    x = np.repeat(x.reshape(8, 8, 6), 2, axis=0).reshape(-1, 6)
    y = np.arange(len(x)) % 2
    with tf.distribute.MirroredStrategy(devices).scope():
        keras.utils.set_random_seed(0)
        teacher, model = (
            student(),
            quantize_aware(student(), activations=activations, delay=1),
        )
        distiller = keras_kd.Distiller(teacher, model, alpha=0.5)
        distiller.compile(
            keras.optimizers.SGD(0.1),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            run_eagerly=count == 1,
        )
    distiller.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    weights = {w.path: np.asarray(w).tolist() for w in model.weights}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(weights, file)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
