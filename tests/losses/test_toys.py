"""Losses of kinds that the package does not have, each in a few lines."""

import keras
import numpy as np
import pytest

import keras_kd

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
LAYERS = {"teacher_layer": "hidden", "student_layer": "hidden"}


@keras.saving.register_keras_serializable("toys")
class Adapted(keras_kd.losses.DistillationLoss):
    """Squared error behind an adapter whose layers Keras builds lazily."""

    kind = "feature"

    def __init__(self, **kwargs):
        super().__init__(**{**LAYERS, **kwargs})
        self.dense = keras.layers.Dense(6)
        self.norm = keras.layers.BatchNormalization()
        self.dropout = keras.layers.Dropout(0.5, seed=1)

    def call(self, teacher_outputs, student_outputs, labels=None):
        adapted = self.dropout(self.norm(self.dense(student_outputs)))
        gap = keras.ops.square(teacher_outputs - adapted)
        return keras.ops.mean(gap, axis=-1)


@keras.saving.register_keras_serializable("toys")
class Gap(keras_kd.losses.DistillationLoss):
    """Squared error of features, one value a position where they have any."""

    kind = "feature"

    def call(self, teacher_outputs, student_outputs, labels=None):
        gap = keras.ops.square(teacher_outputs - student_outputs)
        return keras.ops.mean(gap, axis=-1)


class Told(keras_kd.losses.DistillationLoss):
    """Keeps the training flags that its `call` was given."""

    def __init__(self):
        super().__init__()
        self.flags = set()

    def call(
        self, teacher_outputs, student_outputs, labels=None, training=None
    ):
        self.flags.add(training)
        return keras.ops.sum(teacher_outputs - student_outputs, axis=-1)


def model(units=6, outputs=1):
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(units, name="hidden")(inputs)
    heads = {
        name: keras.layers.Dense(3, name=name)(hidden)
        for name in ("a", "b")[:outputs]
    }
    return keras.Model(inputs, heads if outputs > 1 else heads["a"])


def distil(teacher, student, loss, **kwargs):
    distiller = keras_kd.Distiller(teacher, student, loss, alpha=1.0)
    distiller.compile(keras.optimizers.SGD(0.0), **kwargs)
    return distiller


def test_an_adapter_trains_in_fit_and_infers_elsewhere():
    teacher, loss = model(), Adapted()
    distiller = distil(teacher, model(2), loss)
    before = loss.norm.moving_mean.numpy().copy()
    distiller.fit(X, batch_size=8, epochs=1, verbose=0)
    after = loss.norm.moving_mean.numpy().copy()
    hidden = keras.Model(
        distiller.student.inputs, distiller.student.get_layer("hidden").output
    )(X)
    mean = loss.dense(hidden).numpy().astype("float64").mean(axis=0)
    assert before == pytest.approx(0.0)
    assert after == pytest.approx(0.01 * mean, abs=1e-6)
    taught = RNG.normal(size=(8, 6)).astype("float32")
    inferred = loss(taught, hidden).numpy()
    expected = np.square(taught - loss.norm(loss.dense(hidden))).mean(axis=-1)
    assert inferred == pytest.approx(expected, rel=1e-5)
    assert loss.norm.moving_mean.numpy() == pytest.approx(after)


def test_the_training_flag_reaches_call():
    loss = Told()
    distiller = distil(model(), model(2), loss)
    assert loss.flags == {False}
    distiller.fit(X, batch_size=8, verbose=0)
    assert loss.flags == {False, True}


def test_a_lazily_built_adapter_is_saved_and_trains_on(tmp_path):
    teacher, loss = model(), Adapted()
    distiller = distil(teacher, model(2), loss)
    distiller.fit(X, batch_size=8, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    again = keras.models.load_model(tmp_path / "distiller.keras")
    (loaded,) = again.distillation_losses
    for one, other in zip(loss.weights, loaded.weights, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())
    again.teacher = teacher
    again.fit(X, batch_size=8, verbose=0)
    assert len(again.optimizer.variables) == len(distiller.optimizer.variables)


def test_features_take_the_mean_of_the_outputs_weights():
    teacher, student = model(outputs=2), model(outputs=2)
    loss = Gap(**LAYERS)
    distiller = distil(teacher, student, loss)
    weights = {
        "a": np.arange(8, dtype="float32"),
        "b": np.array([0, 4] * 4, "float32"),
    }
    labels = {name: np.zeros((8, 1), "float32") for name in weights}
    history = distiller.fit(X, labels, 8, sample_weight=weights, verbose=0)
    gap = [
        (X @ m.get_layer("hidden").kernel.numpy()).astype("float64")
        for m in (teacher, student)
    ]
    values = np.square(gap[0] - gap[1]).mean(axis=-1)
    exact = (values * (weights["a"] + weights["b"]) / 2).mean()
    assert history.history["gap"][0] == pytest.approx(exact, rel=1e-5)


def test_a_feature_of_padded_positions_is_masked_where_it_was_tapped():
    def tokens():
        inputs = keras.Input((4,), dtype="int32")
        hidden = keras.layers.Embedding(5, 6, mask_zero=True, name="hidden")(
            inputs
        )
        pooled = keras.layers.GlobalAveragePooling1D()(hidden)
        return keras.Model(inputs, keras.layers.Dense(3)(pooled))

    teacher, student = tokens(), tokens()
    distiller = distil(teacher, student, Gap(**LAYERS))
    x = np.array([[1, 2, 0, 0], [3, 0, 0, 0]], "int32")
    history = distiller.fit(x, verbose=0)
    tables = [
        m.get_layer("hidden").embeddings.numpy().astype("float64")
        for m in (teacher, student)
    ]
    values = np.square(tables[0] - tables[1]).mean(axis=-1)
    exact = values[[1, 2, 3]].mean()
    assert history.history["gap"][0] == pytest.approx(exact, rel=1e-5)
