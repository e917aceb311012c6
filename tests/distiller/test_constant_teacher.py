"""A teacher whose weights are constants teaches as the model itself does."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import FROM_LOGITS

import keras_kd

layers = keras.layers


def make(seed, width=5):
    """Return a model with a BatchNormalization that does something."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(width, name="hidden"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Dense(3),
        ]
    )
    norm = model.get_layer("norm")
    norm.moving_mean.assign(np.linspace(-1, 1, width))
    norm.moving_variance.assign(np.linspace(0.5, 2, width))
    return model


class Live(keras_kd.Distiller):
    """A step of its own: it could change the teacher."""

    def train_step(self, data):
        return super().train_step(data)


def distill(teacher, cls=keras_kd.Distiller, losses=None, **options):
    distiller = cls(teacher, make(1), losses, alpha=0.5)
    distiller.compile(keras.optimizers.SGD(0.1), FROM_LOGITS, **options)
    return distiller


def is_constant(distiller, weight=None):
    """Tell whether the last trace has the teacher's weights as constants."""
    weight = distiller.teacher.weights[0] if weight is None else weight
    weight.assign_add(weight * 0 + 1)
    found = distiller._teacher.frozen.changed()
    weight.assign_sub(weight * 0 + 1)
    return found


def assert_same(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def assert_same_logs(one, other):
    assert set(one) == set(other)
    for name, values in one.items():
        assert values == pytest.approx(other[name], rel=1e-5), name


@pytest.fixture
def fit(rows, classes):
    def run(distiller, **options):
        options = {"batch_size": 12, "shuffle": False, "verbose": 0} | options
        return distiller.fit(rows, classes, **options).history

    return run


HIDDEN = {"teacher_layer": "norm", "student_layer": "norm"}


@pytest.mark.parametrize(
    ("losses", "options"),
    [
        (None, {}),
        ([keras_kd.losses.Hint(**HIDDEN)], {}),
        (None, {"steps_per_execution": 2}),
    ],
    ids=["logits", "layers", "steps_per_execution"],
)
def test_it_trains_the_same_student(fit, losses, options):
    teacher = make(0)
    constant = distill(teacher, losses=losses, **options)
    live = distill(teacher, Live, losses, **options)
    assert_same_logs(fit(constant), fit(live))
    assert_same(constant, live)
    assert is_constant(constant)
    assert not is_constant(live)


@pytest.mark.parametrize("way", ["assigned", "restored", "batches"])
def test_weights_changed_after_a_fit_count(fit, rows, classes, tmp_path, way):
    teacher = make(0)
    file = tf.train.Checkpoint(model=make(7))
    path = file.write(tmp_path / "other")
    distillers = [distill(teacher), distill(teacher, Live)]
    before = teacher.get_weights()
    for distiller in distillers:
        teacher.set_weights(before)
        fit(distiller)
        if way == "restored":
            tf.train.Checkpoint(model=teacher).read(path)
        else:
            teacher.set_weights(make(7).get_weights())
        if way == "batches":
            distiller.train_on_batch(rows, classes)
        else:
            fit(distiller)
    assert_same(*distillers)
    if way != "batches":
        assert is_constant(distillers[0])


class Drifting(keras.callbacks.Callback):
    """Changes the teacher, as a mean of former students does."""

    def drift(self):
        for weight in self.model.teacher.weights:
            weight.assign(weight * 0.9)


class EachEpoch(Drifting):
    def on_epoch_end(self, epoch, logs=None):
        self.drift()


class EachBatch(Drifting):
    def on_train_batch_end(self, batch, logs=None):
        self.drift()


def test_a_step_is_traced_once(fit):
    traced = []

    class Noted(keras_kd.losses.SoftTargets):
        def call(self, *args, **kwargs):
            traced.append(tf.executing_eagerly())
            return super().call(*args, **kwargs)

    distiller = distill(make(0), losses=[Noted()])
    distiller.compile("sgd", loss=distiller.loss, metrics=["accuracy"])
    traced.clear()
    fit(distiller, batch_size=16, epochs=2)
    assert traced == [False]


@pytest.mark.parametrize("callback", [EachEpoch, EachBatch])
def test_a_teacher_that_callbacks_change_is_no_constant(fit, callback, caplog):
    caplog.set_level("INFO", "keras_kd")
    distillers = [distill(make(0)), distill(make(0), Live)]
    for distiller in distillers:
        fit(distiller, epochs=3, callbacks=[callback()])
    assert_same(*distillers)
    said = [text for text in caplog.messages if "change during `fit`" in text]
    assert len(said) == 1
    assert not is_constant(distillers[0])


def test_layers_that_the_student_trains_are_no_constants(fit):
    student = make(1)
    outputs = layers.Dense(3)(student.get_layer("norm").output)
    teacher = keras.Model(student.inputs, outputs)
    distiller = keras_kd.Distiller(teacher, student, alpha=0.5)
    distiller.compile("sgd", FROM_LOGITS)
    fit(distiller)
    assert not is_constant(distiller, teacher.weights[-1])


@pytest.mark.parametrize(
    "options", [{"run_eagerly": True}, {"jit_compile": True}], ids=str
)
def test_without_use_it_stays_a_model(fit, options):
    distiller = distill(make(0), **options)
    fit(distiller)
    assert not is_constant(distiller)


def test_every_member_of_an_ensemble_is_constant(fit):
    members = [make(0), make(2)]
    ensemble = keras_kd.teachers.Ensemble(members, combine="probabilities")
    constant, live = distill(ensemble), distill(ensemble, Live)
    assert_same_logs(fit(constant), fit(live))
    for member in members:
        assert is_constant(constant, member.weights[0])


def test_a_loaded_distiller_takes_a_constant_teacher(fit, tmp_path):
    distiller = distill(make(0))
    fit(distiller)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    loaded.teacher = distiller.teacher
    assert_same_logs(fit(loaded), fit(distiller))
    assert is_constant(loaded)
