"""Train on N logical CPUs and write what came out; run by test_replicas.

Collectives of two group sizes in one process abort, so each N has a process.
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

import keras_kd


def build(name, width):
    inputs = keras.Input((6,))
    x = keras.layers.Dense(
        width,
        "relu",
        kernel_regularizer=keras.regularizers.L2(0.01),
        name="hidden",
    )(inputs)
    return keras.Model(inputs, keras.layers.Dense(3)(x), name=name)


def normed(name, width):
    """Return the model of `build`, with a BatchNormalization."""
    inputs = keras.Input((6,))
    x = keras.layers.Dense(width, name="hidden")(inputs)
    norm = keras.layers.BatchNormalization()
    x = keras.layers.ReLU()(norm(x))
    model = keras.Model(inputs, keras.layers.Dense(3)(x), name=name)
    norm.moving_mean.assign(np.linspace(-1, 1, width))
    norm.moving_variance.assign(np.linspace(0.5, 2, width))
    return model


def tagger(name, width):
    return keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            keras.layers.Embedding(7, width, mask_zero=True),
            keras.layers.Dense(3),
        ],
        name=name,
    )


def heads(name, width):
    inputs = keras.Input((6,))
    x = keras.layers.Dense(width, "relu", name="hidden")(inputs)
    outputs = {"a": keras.layers.Dense(3)(x), "b": keras.layers.Dense(3)(x)}
    return keras.Model(inputs, outputs, name=name)


class HiddenMSE(keras_kd.losses.DistillationLoss):
    kind = "feature"
    reads = "layers"

    def call(self, teacher_outputs, student_outputs, labels=None):
        return keras.ops.mean(
            keras.ops.square(teacher_outputs - student_outputs), axis=-1
        )


def gathered():
    """Return a loss of each kind that compares the global batch."""
    layers = {"teacher_layer": "hidden", "student_layer": "hidden"}
    relations = [
        keras_kd.losses.SimilarityPreserving(weight=10.0, **layers),
        keras_kd.losses.RelationalKD(1.0, 1.0, **layers),
        keras_kd.losses.ProbabilisticKnowledgeTransfer(weight=10.0, **layers),
        keras_kd.losses.CorrelationCongruence(**layers),
        # All others are negatives, so that nothing is drawn by chance.
        keras_kd.losses.ContrastiveRepresentation(
            27, dimensions=8, weight=0.1, other_classes=False, **layers
        ),
    ]
    return [
        *relations,
        keras_kd.losses.DIST(),
        keras_kd.losses.StreamlinedKD(),
    ]


def data(case):
    rng = np.random.default_rng(0)
    # Batches of 8: the last one has 3 examples, or a single one.
    count = 17 if case == "single" else 27
    x = rng.normal(size=(count, 6)).astype("float32")
    y = rng.integers(0, 3, count)
    if case == "masked":
        x = rng.integers(1, 7, (count, 5))
        x[:, 1:][rng.random((count, 4)) < 0.6] = 0
        y = rng.integers(0, 3, (count, 5))
    if case in ("unlabelled", "factors"):
        y[rng.random(count) < 0.6] = -1
        y[:8] = -1
    if case == "outputs":
        y = {key: rng.integers(-1, 3, count) for key in "ab"}
    weights = rng.uniform(0, 2, count).astype("float32")
    return x, y, weights if case in ("single", "unlabelled") else None


def train(case, strategy):
    keras.utils.set_random_seed(0)
    make = {"masked": tagger, "outputs": heads}.get(case, build)
    teacher = (normed if case == "normed" else make)("teacher", 9)
    losses = [keras_kd.losses.SoftTargets(4.0)]
    if case == "factors":
        losses = [
            keras_kd.losses.SoftTargets(
                keras_kd.losses.LearnableTemperature(2),
                weighting="teacher_correct",
                class_balance=[50, 10, 2],
            )
        ]
    if case == "gathered":
        losses.extend(gathered())
    if case != "masked":
        losses.append(
            HiddenMSE(
                teacher_layer="hidden",
                student_layer="hidden",
                weighting="entropy" if case == "factors" else None,
            )
        )
    with strategy.scope():
        keras.utils.set_random_seed(1)
        student = make("student", 9)
        distiller = keras_kd.Distiller(
            teacher, student, losses, alpha=0.6, agreement=True
        )
        distiller.compile(
            # The sum of many losses is steep: rounding would grow.
            keras.optimizers.SGD(0.01 if case == "gathered" else 0.1),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[["accuracy"], ["accuracy"]]
            if case == "outputs"
            else ["accuracy"],
            # Seven graphs cost more than their steps; those of several
            # replicas are compared with steps that were not traced.
            run_eagerly=strategy.num_replicas_in_sync == 1,
        )
    x, y, weights = data(case)
    if case == "gathered":
        x, y = keras_kd.data.number_examples((x, y))
    history = distiller.fit(
        x,
        y,
        sample_weight=weights,
        batch_size=8,
        epochs=2,
        shuffle=False,
        verbose=0,
        # A second graph for each case would double the time.
        validation_data=(x, y) if case in ("uneven", "masked") else None,
    )
    own = [w for loss in losses for w in loss.get_weights()]
    flat = np.concatenate([w.ravel() for w in student.get_weights() + own])
    return {
        "weights": flat.tolist(),
        "history": history.history,
        "constants": len(distiller._teacher.frozen._seen),
    }


def main(num_replicas, path, cases):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * num_replicas
    )
    devices = [f"CPU:{index}" for index in range(num_replicas)]
    strategy = (
        tf.distribute.get_strategy()
        if num_replicas == 1
        else tf.distribute.MirroredStrategy(devices)
    )
    results = {case: train(case, strategy) for case in cases}
    if num_replicas > 1:
        student = build("outside", 9)
        with strategy.scope():
            try:
                keras_kd.Distiller(build("teacher", 9), student)
            except ValueError as error:
                results["outside"] = str(error)
    with open(path, "w") as file:
        json.dump(results, file)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
