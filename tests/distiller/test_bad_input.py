"""Bad input: a clear error, early, and nothing lost."""

import keras
import numpy as np
import pytest

import keras_kd

pytestmark = pytest.mark.eager

FROM_LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make(units=3, features=6, name="model"):
    return keras.Sequential(
        [
            keras.Input((features,)),
            keras.layers.Dense(4, "relu", name="hidden"),
            keras.layers.Dense(units, name="head"),
        ],
        name=name,
    )


def test_class_counts_that_differ():
    with pytest.raises(
        ValueError, match=r"same classes.*\(None, 5\).*\(None, 3\)"
    ):
        keras_kd.Distiller(make(5), make(3))


def test_inputs_that_differ():
    with pytest.raises(
        ValueError, match=r"same inputs.*\(None, 8\).*\(None, 6\)"
    ):
        keras_kd.Distiller(make(features=8), make(features=6))


def test_unknown_layer_offers_the_nearest():
    class Feature(keras_kd.losses.DistillationLoss):
        kind = "feature"
        reads = "layers"

    loss = Feature(teacher_layer="hiden", student_layer="hidden")
    with pytest.raises(ValueError, match=r"Did you mean 'hidden'\?"):
        keras_kd.Distiller(make(), make(), loss)


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), float("inf")])
def test_temperature_that_is_not_positive(temperature):
    with pytest.raises(
        ValueError, match=r"`temperature` to be a finite number"
    ):
        keras_kd.Distiller(make(), make(), temperature=temperature)


@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan")])
def test_alpha_outside_zero_to_one(alpha):
    with pytest.raises(ValueError, match=r"`alpha` to be .* between 0 and 1"):
        keras_kd.Distiller(make(), make(), alpha=alpha)


def test_numbers_of_another_type():
    with pytest.raises(TypeError, match="`alpha` to be a finite number"):
        keras_kd.Distiller(make(), make(), alpha="0.9")
    with pytest.raises(TypeError, match="Wrap the function"):
        keras_kd.Distiller(make(), make(), alpha=lambda step: 0.9)


def test_temperature_together_with_losses():
    with pytest.raises(ValueError, match="Give it to the loss"):
        keras_kd.Distiller(make(), make(), "soft_targets", temperature=2.0)


def test_losses_of_another_kind():
    with pytest.raises(ValueError, match=r"Did you mean 'soft_targets'\?"):
        keras_kd.Distiller(make(), make(), "soft_target")
    with pytest.raises(TypeError, match=r"`SoftTargets\(\)`, not"):
        keras_kd.Distiller(make(), make(), keras_kd.losses.SoftTargets)
    with pytest.raises(ValueError, match="one loss or more"):
        keras_kd.Distiller(make(), make(), [])
    twice = [keras_kd.losses.SoftTargets(), keras_kd.losses.SoftTargets(2.0)]
    with pytest.raises(ValueError, match="names of their own"):
        keras_kd.Distiller(make(), make(), twice)


def test_models_of_another_type():
    with pytest.raises(TypeError, match=r"`teacher` to be a keras.Model.*load"):
        keras_kd.Distiller("teacher.keras", make())
    with pytest.raises(TypeError, match="`student` to be a keras.Model"):
        keras_kd.Distiller(make(), "student.keras")
    unbuilt = keras.Sequential([keras.layers.Dense(3)], name="new")
    with pytest.raises(ValueError, match=r"built model.*<Sequential new>"):
        keras_kd.Distiller(unbuilt, make())
    keras_kd.Distiller(make(), unbuilt)
    assert unbuilt.built


def test_no_loss_for_a_task_with_a_weight():
    distiller = keras_kd.Distiller(make(), make(), alpha=0.9)
    with pytest.raises(ValueError, match=r"needs a `loss`.*alpha=0.9"):
        distiller.compile("adam")
    keras_kd.Distiller(make(), make(), alpha=1.0).compile("adam")
    keras_kd.Distiller(make(), make(), student_loss_weight=0).compile("adam")


def test_no_labels_for_a_task_with_a_weight(rows):
    distiller = keras_kd.Distiller(make(), make())
    distiller.compile("adam", loss=FROM_LOGITS)
    with pytest.raises(ValueError, match="needs labels for `loss`"):
        distiller.fit(rows, verbose=0)


def test_no_teacher(rows, classes):
    distiller = keras_kd.Distiller(None, make())
    distiller.compile("adam", loss=FROM_LOGITS)
    with pytest.raises(ValueError, match=r"`distiller\.teacher = teacher`"):
        distiller.fit(rows, classes)
    distiller.evaluate(rows, classes, verbose=0)


@pytest.mark.parametrize("wrong", [3, -2])
@pytest.mark.parametrize("eager", [False, True])
def test_labels_out_of_range(rows, classes, wrong, eager):
    distiller = keras_kd.Distiller(make(), make())
    distiller.compile("sgd", loss=FROM_LOGITS, run_eagerly=eager)
    before = distiller.student.get_weights()
    classes[7] = wrong
    with pytest.raises(ValueError, match="labels between 0 and 2"):
        distiller.fit(rows, classes, verbose=0)
    for old, new in zip(before, distiller.student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_ignored_label_is_in_range(rows, classes):
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=-1
    )
    distiller = keras_kd.Distiller(make(), make())
    distiller.compile("sgd", loss=loss)
    classes[7] = -1
    history = distiller.fit(rows, classes, verbose=0)
    assert np.isfinite(history.history["loss"][0])


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


def test_outputs_that_do_not_correspond():
    inputs = keras.Input((6,))
    two = keras.Model(
        inputs,
        {
            "a": keras.layers.Dense(3)(inputs),
            "b": keras.layers.Dense(3)(inputs),
        },
    )
    with pytest.raises(ValueError, match=r"same outputs.*'a', 'b'"):
        keras_kd.Distiller(two, make())
    loss = keras_kd.losses.SoftTargets(output="c")
    with pytest.raises(ValueError, match=r"output='c'"):
        keras_kd.Distiller(two, two, loss)


def test_a_loss_that_averages_itself():
    class Scalar(keras_kd.losses.DistillationLoss):
        def call(self, teacher_outputs, student_outputs, labels=None):
            return keras.ops.mean(student_outputs)

    with pytest.raises(ValueError, match="Leave the averaging"):
        keras_kd.Distiller(make(), make(), Scalar())
