"""Tiny models, a tiny feature loss, and the logs of one step."""

import keras

from keras_kd.losses import DistillationLoss

FROM_LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def first_logs(distiller, *data, **kwargs):
    """The logs of one step over everything, before anything was learned."""
    history = distiller.fit(
        *data, batch_size=1000, epochs=1, verbose=0, shuffle=False, **kwargs
    )
    return {name: values[0] for name, values in history.history.items()}


def dense(units, head=None, features=6, name=None, hidden=5):
    return keras.Sequential(
        [
            keras.Input((features,)),
            keras.layers.Dense(hidden, "relu", name="hidden"),
            keras.layers.Dense(units, head, name="head"),
        ],
        name=name,
    )


class FeatureMSE(DistillationLoss):
    """The smallest feature loss: for tests only."""

    kind = "feature"
    reads = "layers"

    def call(self, teacher_outputs, student_outputs, labels=None):
        gap = keras.ops.square(student_outputs - teacher_outputs)
        return keras.ops.mean(gap, axis=tuple(range(1, len(gap.shape))))


class Counting(keras.layers.Layer):
    """Counts executed calls, in training and in inference mode."""

    def build(self, input_shape):
        make = {"shape": (), "initializer": "zeros", "trainable": False}
        self.trained = self.add_weight(name="trained", **make)
        self.inferred = self.add_weight(name="inferred", **make)

    def call(self, inputs, training=False):
        (self.trained if training else self.inferred).assign_add(1.0)
        return inputs

    @property
    def counts(self):
        return float(self.trained), float(self.inferred)


def counted(name):
    inputs = keras.Input((6,))
    x = Counting(name="count")(inputs)
    x = keras.layers.Dense(5, name="hidden")(x)
    x = keras.layers.BatchNormalization(momentum=0.9, name="norm")(x)
    x = keras.layers.Dropout(0.5)(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x), name=name)
