"""A step that is not finite: what is said, and what is kept."""

import keras
import numpy as np
import pytest

import keras_kd

pytestmark = pytest.mark.eager

FROM_LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make():
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(4, "relu", name="hidden"),
            keras.layers.Dense(3, name="head"),
        ]
    )


class Snapshots(keras.callbacks.Callback):
    """The student's weights after every batch that ended."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(self.model.student.get_weights())


@pytest.mark.parametrize("mode", [{}, {"run_eagerly": True}], ids=str)
def test_nan_input_stops_with_the_last_good_weights(rows, classes, mode):
    distiller = keras_kd.Distiller(make(), make())
    distiller.compile("adam", loss=FROM_LOGITS, **mode)
    rows[19] = np.nan
    seen = Snapshots()
    with pytest.raises(FloatingPointError, match="last good step"):
        distiller.fit(
            rows,
            classes,
            batch_size=8,
            shuffle=False,
            verbose=0,
            callbacks=seen,
        )
    assert len(seen.weights) == 2
    for old, new in zip(
        seen.weights[-1], distiller.student.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(old, new)


class Growing(keras_kd.losses.DistillationLoss):
    """Infinite once the student has moved away."""

    def call(self, teacher_outputs, student_outputs, labels=None):
        gap = keras.ops.mean(
            keras.ops.square(student_outputs - teacher_outputs), axis=-1
        )
        return keras.ops.exp(100.0 * gap)


@pytest.mark.parametrize("mode", [{}, {"jit_compile": True}], ids=str)
def test_a_diverging_term_is_named(rows, classes, mode):
    teacher, student = make(), make()
    student.set_weights(teacher.get_weights())
    losses = [keras_kd.losses.SoftTargets(), Growing(weight=1e-3)]
    distiller = keras_kd.Distiller(teacher, student, losses)
    distiller.compile(keras.optimizers.SGD(30.0), loss=FROM_LOGITS, **mode)
    with pytest.raises(FloatingPointError, match="`growing`"):
        distiller.fit(rows, classes, batch_size=8, epochs=5, verbose=0)
    assert all(np.isfinite(w).all() for w in student.get_weights())


class Kinked(keras_kd.losses.DistillationLoss):
    """0, with a gradient that is not a number."""

    def call(self, teacher_outputs, student_outputs, labels=None):
        gap = student_outputs - keras.ops.stop_gradient(student_outputs)
        return keras.ops.sqrt(keras.ops.sum(gap**2, axis=-1))


@pytest.mark.parametrize("sparse", [False, True])
def test_a_nan_gradient_of_a_finite_loss_is_named(sparse):
    def tokens():
        first = [keras.Input((1,), dtype="int32"), keras.layers.Embedding(9, 3)]
        return keras.Sequential([*first, keras.layers.Flatten()])

    student = tokens() if sparse else make()
    distiller = keras_kd.Distiller(
        tokens() if sparse else make(),
        student,
        Kinked(),
        alpha=1.0,
        teacher_output="logits",
        student_output="logits",
    )
    distiller.compile("sgd")
    before = student.get_weights()
    with pytest.raises(FloatingPointError, match="finite: `gradient` became"):
        distiller.fit(np.ones((8, *student.input_shape[1:])), verbose=0)
    for old, new in zip(before, student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_infinite_teacher_outputs_are_not_called_nan(rows, classes):
    teacher = make()
    teacher.layers[-1].bias.assign([np.inf, -np.inf, 0.0])
    distiller = keras_kd.Distiller(teacher, make())
    distiller.compile("adam", loss=FROM_LOGITS)
    with pytest.raises(FloatingPointError, match="`soft_targets` became"):
        distiller.fit(rows, classes, verbose=0)


def normed():
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3),
        ]
    )


def test_nan_input_leaves_batch_norm_statistics(rows, classes):
    distiller = keras_kd.Distiller(normed(), normed())
    distiller.compile("adam", loss=FROM_LOGITS)
    rows[:] = np.nan
    with pytest.raises(FloatingPointError, match="teacher's outputs are NaN"):
        distiller.fit(rows, classes, verbose=0)
    assert all(np.isfinite(w).all() for w in distiller.student.get_weights())


@pytest.mark.parametrize(
    "mode", [{"jit_compile": True}, {"steps_per_execution": 3}], ids=str
)
def test_a_bad_step_is_the_last(rows, classes, mode):
    """Weights and statistics are those after the good steps before it."""

    x, y = np.tile(rows, (3, 1))[:48], np.tile(classes, 3)[:48]
    bad = x.copy()
    bad[20] = np.nan  # in the third of six steps

    def fit(x):
        keras.utils.set_random_seed(0)
        distiller = keras_kd.Distiller(make(), normed())
        distiller.compile("adam", loss=FROM_LOGITS, **mode)
        size = {"batch_size": 8, "shuffle": False, "verbose": 0}
        return distiller, lambda: distiller.fit(x, y[: len(x)], **size)

    good, good_steps = fit(x[:16])
    good_steps()
    stopped, all_steps = fit(bad)
    with pytest.raises(FloatingPointError, match="not finite|outputs are NaN"):
        all_steps()
    for one, other in zip(
        stopped.get_weights(), good.get_weights(), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert int(stopped.optimizer.iterations) == 2


def test_train_on_batch_says_it_too_and_goes_on(rows, classes):
    distiller = keras_kd.Distiller(make(), normed())
    distiller.compile("adam", loss=FROM_LOGITS, jit_compile=True)
    before = distiller.student.get_weights()
    with pytest.raises(FloatingPointError, match="Without `jit_compile`"):
        distiller.train_on_batch(rows * np.nan, classes)
    for one, other in zip(distiller.student.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.isfinite(distiller.train_on_batch(rows, classes)[0])
    assert not np.array_equal(distiller.student.get_weights()[0], before[0])


class Infinite(keras_kd.losses.DistillationLoss):
    def call(self, teacher_outputs, student_outputs, labels=None):
        return keras.ops.sum(student_outputs, axis=-1) * 0 + np.inf


@pytest.mark.parametrize("eager", [False, True])
def test_a_failed_step_leaves_batch_norm_statistics(rows, classes, eager):
    student = normed()
    distiller = keras_kd.Distiller(make(), student, Infinite())
    distiller.compile("adam", loss=FROM_LOGITS, run_eagerly=eager)
    before = student.get_weights()
    with pytest.raises(FloatingPointError, match="`infinite` became"):
        distiller.fit(rows, classes, verbose=0)
    for old, new in zip(before, student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
