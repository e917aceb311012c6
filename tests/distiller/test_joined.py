"""Data that teacher outputs were joined to, without any cache."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_kd
from keras_kd.core.packed_inputs import pack
from keras_kd.core.taps import Tapped

pytestmark = pytest.mark.eager
slow = pytest.mark.slow

FROM_LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 6)).astype("float32")
Y = RNG.integers(0, 3, 16)
RUN = {"batch_size": 8, "shuffle": False, "verbose": 0}


def model(width=5):
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(width, "relu", name="hidden"),
            layers.Dense(3),
        ]
    )


class HiddenMSE(keras_kd.losses.DistillationLoss):
    kind = "feature"
    reads = "layers"

    def call(self, teacher_outputs, student_outputs, labels=None):
        gap = teacher_outputs - student_outputs
        return keras.ops.mean(keras.ops.square(gap), axis=-1)


def losses():
    hidden = HiddenMSE(teacher_layer="hidden", student_layer="hidden")
    return [keras_kd.losses.SoftTargets(2.0), hidden]


def joined(teacher, x=X):
    outputs = {
        "logits": teacher(x).numpy(),
        "features": {"hidden": teacher.layers[0](x).numpy()},
    }
    return pack(x, outputs)


class Cache:
    """What the Distiller sees of a TeacherCache."""

    def __init__(self, teacher):
        logits = keras.KerasTensor((None, 3))
        hidden = keras.KerasTensor((None, teacher.layers[0].units))
        self.spec = Tapped(logits, logits, {"hidden": hidden})


def trained(teacher, x, **settings):
    keras.utils.set_random_seed(1)
    distiller = keras_kd.Distiller(teacher, model(), losses(), alpha=0.6)
    distiller.compile(
        "adam", loss=FROM_LOGITS, metrics=["accuracy"], **settings
    )
    history = distiller.fit(x, Y, epochs=3, validation_data=(x, Y), **RUN)
    return distiller.student.get_weights(), history.history


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("none", {}),
        pytest.param("cache", {}, marks=slow),
        pytest.param("none", {"steps_per_execution": 2}, marks=slow),
    ],
    ids=str,
)
def test_joined_data_trains_as_the_teacher_does(kind, settings):
    teacher = model()
    live, history = trained(teacher, X, **settings)
    given = None if kind == "none" else Cache(teacher)
    cached, again = trained(given, joined(teacher), **settings)
    for one, other in zip(live, cached, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    for name, values in history.items():
        assert again[name] == pytest.approx(values, rel=1e-4), name


def test_class_weight_reaches_joined_data():
    teacher = model()
    logs = []
    for given, x in ((teacher, X), (None, joined(teacher))):
        keras.utils.set_random_seed(1)
        distiller = keras_kd.Distiller(given, model(), losses())
        distiller.compile(keras.optimizers.SGD(0.0), loss=FROM_LOGITS)
        run = {**RUN, "class_weight": {0: 2.0, 1: 0.0, 2: 1.0}}
        logs.append(distiller.fit(x, Y, **run).history)
    for name, values in logs[0].items():
        assert logs[1][name] == pytest.approx(values, rel=1e-5), name


def test_joined_data_predicts_and_evaluates():
    teacher = model()
    distiller = keras_kd.Distiller(Cache(teacher), model(), losses())
    distiller.compile("sgd", loss=FROM_LOGITS, metrics=["accuracy"])
    x = joined(teacher)
    np.testing.assert_array_equal(distiller(x), distiller.student(X))
    np.testing.assert_array_equal(
        distiller.predict(x, verbose=0), distiller.predict(X, verbose=0)
    )
    assert distiller.evaluate(x, Y, verbose=0) == distiller.evaluate(
        X, Y, verbose=0
    )


def test_data_without_outputs():
    distiller = keras_kd.Distiller(Cache(model()), model(), losses())
    distiller.compile("sgd", loss=FROM_LOGITS)
    with pytest.raises(ValueError, match=r"Train on `cache\.join\(dataset\)`"):
        distiller.fit(X, Y, **RUN)
    distiller = keras_kd.Distiller(None, model(), losses())
    distiller.compile("sgd", loss=FROM_LOGITS)
    with pytest.raises(ValueError, match=r"Or train on `cache\.join"):
        distiller.fit(X, Y, **RUN)


def test_a_live_teacher_refuses_joined_data():
    teacher = model()
    distiller = keras_kd.Distiller(teacher, model(), losses())
    distiller.compile("sgd", loss=FROM_LOGITS)
    distiller.fit(X, Y, validation_data=(joined(teacher), Y), **RUN)
    with pytest.raises(ValueError, match=r"`distiller\.teacher = cache`"):
        distiller.fit(joined(teacher), Y, **RUN)
    distiller.teacher = Cache(teacher)
    distiller.fit(joined(teacher), Y, **RUN)


def test_a_layer_or_class_count_that_was_not_stored():
    teacher = model()
    distiller = keras_kd.Distiller(None, model(), losses())
    distiller.compile("sgd", loss=FROM_LOGITS)
    with pytest.raises(ValueError, match=r"layers=\['hidden'\]"):
        distiller.fit(pack(X, {"logits": teacher(X).numpy()}), Y, **RUN)
    wide = keras.Sequential([keras.Input((6,)), layers.Dense(4)])
    with pytest.raises(ValueError, match="same classes"):
        keras_kd.Distiller(Cache(teacher), wide)


def test_a_cache_took_the_teachers_input_when_it_was_built():
    with pytest.raises(ValueError, match=r"Give it to `TeacherCache\.build`"):
        keras_kd.Distiller(Cache(model()), model(), teacher_input=abs)


class Adapted(HiddenMSE):
    def build(self, teacher_outputs_shape, student_outputs_shape):
        self.scale = self.add_weight(shape=(), name="scale")


def test_a_loss_with_weights_needs_to_know_the_shapes():
    teacher = model()
    loss = Adapted(teacher_layer="hidden", student_layer="hidden")
    distiller = keras_kd.Distiller(None, model(), loss)
    distiller.compile("sgd", loss=FROM_LOGITS)
    with pytest.raises(ValueError, match="needs a teacher to build `adapted`"):
        distiller.fit(joined(teacher), Y, **RUN)
    distiller = keras_kd.Distiller(Cache(teacher), model(), loss)
    distiller.compile("sgd", loss=FROM_LOGITS)
    distiller.fit(joined(teacher), Y, **RUN)
    assert len(distiller.trainable_weights) == 5
