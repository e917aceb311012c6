"""The learned temperature, restated in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from restated import soft_targets

import keras_kd
from keras_kd import losses
from keras_kd.losses import LearnableTemperature
from keras_kd.losses import SoftTargets

pytestmark = pytest.mark.eager

RNG = np.random.default_rng(5)
TEACHER = 4 * RNG.normal(size=(6, 5))
STUDENT = 3 * RNG.normal(size=(6, 5))
X = RNG.normal(size=(8, 4)).astype("float32")


def temperature_of(theta, low=1.0, high=21.0):
    return low + (high - low) / (1 + np.exp(-theta))


def slope_of(function, at, step=1e-5):
    return (function(at + step) - function(at - step)) / (2 * step)


def reversed_by(step, ramp_steps):
    """The cosine from 0 to -1 of the authors' `CosineDecay`."""
    value = (np.cos(min(step, ramp_steps) * np.pi / ramp_steps) + 1) / 2
    return value * (0 - -1) + -1


@pytest.mark.parametrize("step", [0, 1, 5, 10, 11, 1000])
def test_value_and_reversed_gradient_equal_numpy(step):
    loss = SoftTargets(LearnableTemperature(10))
    with tf.GradientTape() as tape:
        values = loss(TEACHER, STUDENT, step=step)
        total = tf.reduce_mean(values)
    (theta,) = loss.trainable_weights
    slope = tape.gradient(total, theta).numpy()

    def restated(theta):
        return soft_targets(TEACHER, STUDENT, temperature_of(theta)).mean()

    assert values.numpy().mean() == pytest.approx(restated(1.0), rel=1e-6)
    exact = slope_of(restated, 1.0) * reversed_by(step, 10)
    assert slope == pytest.approx(exact, rel=1e-4, abs=1e-9)
    assert loss.temperature.value == pytest.approx(temperature_of(1.0))


def test_bounds_and_start():
    temperature = LearnableTemperature(1, low=2.0, high=6.0, start=5.0)
    assert temperature.value == pytest.approx(5.0)
    assert float(temperature(0)) == pytest.approx(5.0)
    temperature.theta.assign(-30.0)
    assert temperature.value == pytest.approx(2.0)
    temperature.theta.assign(30.0)
    assert float(temperature(0)) == pytest.approx(6.0)


TAKERS = [
    name
    for name, method in losses.METHODS.items()
    if "temperature" in method.ranges
]


@pytest.mark.parametrize("name", TAKERS)
def test_every_loss_with_a_temperature_learns_it(name):
    method = losses.METHODS[name]
    loss = method(temperature=LearnableTemperature(1, start=3.0))
    fixed = method(temperature=3.0)
    inputs = TEACHER, STUDENT
    if loss.reads == "layers":
        inputs = TEACHER[..., None], STUDENT[..., None]
    labels = np.arange(6, dtype="int32") % 5
    with tf.GradientTape() as tape:
        values = loss(*inputs, labels, step=1)
    assert values.numpy() == pytest.approx(
        fixed(*inputs, labels).numpy(), rel=1e-5
    )
    (slope,) = tape.gradient(values, loss.trainable_weights)
    assert abs(slope.numpy()) > 0


def distil(teacher, student, loss, **settings):
    distiller = keras_kd.Distiller(teacher, student, loss, alpha=1.0)
    distiller.compile(keras.optimizers.SGD(0.1), **settings)
    return distiller


def model():
    return keras_kd.students.mlp((4,), 3, width=0.1)


@pytest.mark.parametrize(
    "cached", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_fit_raises_the_loss_by_it_and_saves_it(cached, tmp_path):
    teacher, student = model(), model()
    taught = teacher(X).numpy().astype("float64")
    given, data = teacher, X
    if cached:
        given = keras_kd.TeacherCache.build(
            tmp_path, teacher, X, dtype="float32", verbose=0
        )
        data = given.join(X)
    loss = SoftTargets(LearnableTemperature(1))
    distiller = distil(given, student, loss)
    distiller.fit(data, batch_size=8, verbose=0)
    assert loss.temperature.value == pytest.approx(temperature_of(1.0))
    learned = student(X).numpy().astype("float64")
    distiller.fit(data, batch_size=8, verbose=0)
    slope = slope_of(
        lambda theta: soft_targets(
            taught, learned, temperature_of(theta)
        ).mean(),
        1.0,
    )
    theta = loss.temperature.theta.numpy()
    assert theta - 1 == pytest.approx(0.1 * slope, rel=1e-2, abs=1e-6)
    assert theta != 1
    assert all("theta" not in weight.path for weight in student.weights)
    distiller.save(tmp_path / "distiller.keras")
    again = keras.models.load_model(tmp_path / "distiller.keras")
    (loaded,) = again.distillation_losses
    assert loaded.temperature.value == loss.temperature.value
    again.teacher = given
    again.fit(data, batch_size=8, verbose=0)
    assert loaded.temperature.value != loss.temperature.value


def test_the_default_loss_takes_it():
    learned = LearnableTemperature(5)
    distiller = keras_kd.Distiller(
        model(), model(), alpha=1.0, temperature=learned
    )
    assert distiller.distillation_losses[0].temperature is learned
    assert (
        len(distiller.trainable_weights)
        == len(distiller.student.trainable_weights) + 1
    )


def test_without_a_teacher_it_asks_for_one(tmp_path):
    cache = keras_kd.TeacherCache.build(tmp_path, model(), X, verbose=0)
    distiller = distil(None, model(), SoftTargets(LearnableTemperature(5)))
    with pytest.raises(ValueError, match="needs a teacher to build `soft_t"):
        distiller.fit(cache.join(X), verbose=0)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"ramp_steps": 0}, "`ramp_steps` to be an integer of at least 1"),
        ({"low": 0.0}, "`low` to be a finite number greater than 0"),
        ({"high": 1.0}, "`high` to be a finite number greater than 1"),
        ({"start": 1.0}, "`start` to be a finite number greater than 1"),
        ({"start": 21.0}, "`start` to be below `high`, 21"),
    ],
    ids=str,
)
def test_bad_arguments(arguments, expected):
    with pytest.raises(ValueError, match=expected):
        LearnableTemperature(**({"ramp_steps": 10} | arguments))


def test_a_weight_or_alpha_is_not_learned():
    for wrong in (
        lambda: SoftTargets(weight=LearnableTemperature(5)),
        lambda: keras_kd.Distiller(
            model(), model(), alpha=LearnableTemperature(5)
        ),
    ):
        with pytest.raises(TypeError, match="LearningRateSchedule"):
            wrong()
