"""Mutual learning: students teach each other as they are just then."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from restated import log_softmax
from toys import FROM_LOGITS
from toys import dense

import keras_kd
from keras_kd.regimes import mutual

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 6)).astype("float32")
Y = RNG.integers(0, 3, 32)

eager = pytest.mark.eager


def make(teacher, student, alpha=0.5, optimizer=None, **options):
    distiller = keras_kd.Distiller(
        teacher, student, alpha=alpha, temperature=1.0
    )
    optimizer = optimizer or keras.optimizers.SGD(0.5)
    distiller.compile(optimizer, FROM_LOGITS, metrics=["accuracy"], **options)
    return distiller


def pair():
    """Two students from fixed weights."""
    keras.utils.set_random_seed(3)
    return [dense(3, hidden=4), dense(3, hidden=7)]


def divergence(p_logits, q_logits):
    p, q = (log_softmax(np.asarray(z, "float64")) for z in (p_logits, q_logits))
    return float(np.mean(np.sum(np.exp(p) * (p - q), axis=-1)))


@pytest.mark.slow
def test_students_come_closer_than_apart():
    together, apart = pair(), pair()
    fit = {"x": X, "y": Y, "epochs": 8, "verbose": 0, "shuffle": False}
    mutual(together, make, fit)
    for student in apart:
        student.compile(keras.optimizers.SGD(0.5), FROM_LOGITS)
        student.fit(**fit)
    gaps = [divergence(a(X), b(X)) for a, b in (together, apart)]
    assert gaps[0] < 0.75 * gaps[1]


@eager
def test_a_step_is_algorithm_1_of_the_paper():
    """One student is updated, then the other under the new first one."""
    students = pair()
    a, b = pair()
    history = mutual(
        students, make, {"x": X, "y": Y, "batch_size": 32, "verbose": 0}
    )
    for student, other in ((a, b), (b, a)):
        target = tf.constant(other(X))
        with tf.GradientTape() as tape:
            own = tf.nn.log_softmax(student(X))
            peer = tf.nn.log_softmax(target)
            task = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(Y, student(X))
            )
            gap = tf.reduce_mean(
                tf.reduce_sum(tf.exp(peer) * (peer - own), axis=-1)
            )
            loss = 0.5 * task + 0.5 * gap
        weights = student.trainable_weights
        for weight, slope in zip(
            weights, tape.gradient(loss, weights), strict=True
        ):
            weight.assign_sub(0.5 * slope)
        number = [a, b].index(student)
        logged = history.history[f"student_{number}_soft_targets"]
        np.testing.assert_allclose(logged, [float(gap)], rtol=1e-5)
    for got, exact in zip(students, (a, b), strict=True):
        for one, other in zip(
            got.get_weights(), exact.get_weights(), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_the_peer_is_read_in_each_step():
    """A traced step must not keep the weights that a peer had at first."""
    traced, eagerly = pair(), pair()
    fit = {"x": X, "y": Y, "epochs": 3, "batch_size": 16, "verbose": 0}
    fit["shuffle"] = False
    mutual(traced, make, fit)
    mutual(eagerly, lambda t, s: make(t, s, run_eagerly=True), fit)
    for one, other in zip(traced, eagerly, strict=True):
        np.testing.assert_allclose(one(X), other(X), rtol=1e-4, atol=1e-5)


def test_the_mean_of_peers_has_the_gradients_of_the_paper():
    """NumPy, in float64: at temperature 1 both slopes are p - mean p_j."""
    student, *peers = RNG.normal(size=(4, 5, 3))
    mean = np.log(np.mean([np.exp(log_softmax(p)) for p in peers], axis=0))

    def slope(value):
        moves = np.eye(student.size).reshape(-1, *student.shape) * 1e-6
        return [(value(student + m) - value(student - m)) / 2e-6 for m in moves]

    pairwise = slope(lambda z: np.mean([divergence(p, z) for p in peers]))
    once = slope(lambda z: divergence(mean, z))
    np.testing.assert_allclose(pairwise, once, atol=1e-9)


@pytest.mark.slow
def test_three_students_learn_under_an_ensemble_of_the_others():
    students = [*pair(), dense(3, hidden=3)]
    teachers = []

    def making(teacher, student):
        teachers.append(teacher)
        return make(teacher, student)

    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    history = mutual(
        students, making, {"x": data, "validation_data": data, "verbose": 0}
    )
    assert [teacher.combine for teacher in teachers] == ["probabilities"] * 3
    for number, teacher in enumerate(teachers):
        others = [s for s in students if s is not students[number]]
        assert list(teacher.models) == others
    own = {"loss", "accuracy", "student_loss", "soft_targets"}
    of_student = {"loss", "accuracy"}
    assert set(history.history) == {
        f"student_{n}_{name}" for n in range(3) for name in own
    } | {f"val_student_{n}_{name}" for n in range(3) for name in of_student}
    for number, student in enumerate(students):
        accuracy = np.mean(np.argmax(student(X), axis=-1) == Y)
        logged = history.history[f"val_student_{number}_accuracy"]
        assert logged == pytest.approx([accuracy])


@eager
def test_a_student_alone_is_not_changed_by_being_a_teacher():
    students = pair()
    before = students[0].get_weights()

    def making(teacher, student):
        rate = 0.0 if student is students[0] else 0.5
        return make(teacher, student, optimizer=keras.optimizers.SGD(rate))

    mutual(students, making, {"x": X, "y": Y, "verbose": 0})
    for one, other in zip(before, students[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.untraced
def test_a_loss_that_is_not_finite_is_named():
    def making(teacher, student):
        return make(teacher, student, optimizer=keras.optimizers.SGD(1e30))

    with pytest.raises(FloatingPointError, match="not finite"):
        mutual(pair(), making, {"x": X, "y": Y, "epochs": 3, "verbose": 0})


@pytest.mark.parametrize(
    ("students", "error"),
    [([], ValueError), ([dense(3)], ValueError), (dense(3), TypeError)],
    ids=["none", "one", "not a list"],
)
def test_too_few_students(students, error):
    with pytest.raises(error, match="a list of two or more keras.Model"):
        mutual(students, make, {"x": X, "y": Y})


def test_other_bad_arguments():
    a, b = pair()
    with pytest.raises(ValueError, match="share no weights"):
        mutual([a, a], make, {"x": X, "y": Y})
    trunk = a.layers[0]
    inputs = keras.Input((6,))
    cousin = keras.Model(inputs, keras.layers.Dense(3)(trunk(inputs)))
    with pytest.raises(ValueError, match="which share `.*hidden/kernel`"):
        mutual([a, cousin], make, {"x": X, "y": Y})
    with pytest.raises(TypeError, match="`make_distiller` to be a function"):
        mutual([a, b], "adam", {"x": X, "y": Y})
    with pytest.raises(TypeError, match="`fit` to be a dict"):
        mutual([a, b], make, X)


def test_students_are_no_constants():
    made = []

    def making(teacher, student):
        made.append(make(teacher, student))
        return made[-1]

    mutual(pair(), making, {"x": X, "y": Y, "epochs": 2, "verbose": 0})
    assert not any(each._teacher.frozen.changed() for each in made)
