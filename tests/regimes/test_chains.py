"""Chains of students: each one's teacher is the one before, unchanged."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import FROM_LOGITS
from toys import dense

import keras_kd
from keras_kd.regimes import born_again
from keras_kd.regimes import teacher_assistants

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 6)).astype("float32")
Y = RNG.integers(0, 3, 16)
FIT = {"x": X, "y": Y, "verbose": 0}

pytestmark = pytest.mark.untraced


class Making:
    """Makes Distillers and remembers their teachers as they were."""

    def __init__(self):
        self.pairs = []
        self.before = []

    def __call__(self, teacher, student):
        self.pairs.append((teacher, student))
        if isinstance(teacher, keras.Model):
            self.before.append(teacher.get_weights())
        distiller = keras_kd.Distiller(teacher, student, alpha=0.5)
        distiller.compile(keras.optimizers.Adam(0.05), loss=FROM_LOGITS)
        return distiller


def equal(one, other):
    pairs = zip(one, other, strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def check_chain(teacher, students, making):
    assert making.pairs == [*zip([teacher, *students], students, strict=False)]
    for (model, student), before in zip(
        making.pairs, making.before, strict=True
    ):
        assert equal(model.get_weights(), before), "no teacher changes"
        assert model is not student


@pytest.mark.parametrize("kind", ["arrays", "tf.data"])
def test_each_generation_is_the_next_ones_teacher(kind):
    teacher, making = dense(3), Making()
    fit = FIT
    if kind == "tf.data":
        data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
        fit = {"x": data, "verbose": 0}
    started = []

    def build():
        started.append(dense(3))
        return keras.models.clone_model(started[-1])

    students = born_again(teacher, build, making, fit, generations=2)
    assert len(students) == 2
    check_chain(teacher, students, making)
    for student, start in zip(students, started, strict=True):
        assert not equal(student.get_weights(), start.get_weights())


def test_assistants_go_from_large_to_small():
    teacher, making = dense(3, hidden=9), Making()
    builds = [lambda: dense(3, hidden=6), lambda: dense(3, hidden=2)]
    students = teacher_assistants(teacher, builds, making, FIT)
    check_chain(teacher, students, making)
    assert [s.layers[0].units for s in students] == [6, 2]


def test_a_generation_is_what_a_distiller_alone_makes():
    teacher = dense(3)
    students = born_again(
        teacher, lambda: dense(3), Making(), FIT, generations=2, seed=7
    )
    for number, under in enumerate([teacher, students[0]]):
        keras.utils.set_random_seed(7 + number)
        alone = dense(3)
        Making()(under, alone).fit(**FIT)
        assert equal(alone.get_weights(), students[number].get_weights())


def test_an_ensemble_teaches_the_first_and_is_made_of_the_last():
    ensemble = keras_kd.teachers.Ensemble([dense(3), dense(3)])
    students = born_again(
        ensemble, lambda: dense(3), Making(), FIT, generations=2
    )
    together = keras_kd.teachers.Ensemble(students)
    mean = sum(student(X).numpy() for student in students) / 2
    np.testing.assert_allclose(together(X), mean, rtol=1e-5)


def test_a_folder_goes_on_where_it_was_interrupted(tmp_path):
    teacher = dense(3)
    arguments = {"generations": 2, "seed": 1}
    whole = born_again(teacher, lambda: dense(3), Making(), FIT, **arguments)

    class StoppedError(Exception):
        pass

    class Stopping(Making):
        def __call__(self, teacher, student):
            if len(self.pairs) == 1:
                raise StoppedError
            return super().__call__(teacher, student)

    arguments["folder"] = tmp_path / "generations"
    with pytest.raises(StoppedError):
        born_again(teacher, lambda: dense(3), Stopping(), FIT, **arguments)
    kept = {f.name: f.stat().st_mtime_ns for f in arguments["folder"].iterdir()}
    assert set(kept) == {"0.weights.h5"}
    again = born_again(teacher, lambda: dense(3), Making(), FIT, **arguments)
    for one, other in zip(whole, again, strict=True):
        assert equal(one.get_weights(), other.get_weights())
    for name, time in kept.items():
        assert (arguments["folder"] / name).stat().st_mtime_ns == time


def test_bad_arguments():
    teacher, build, make = dense(3), lambda: dense(3), Making()

    def refused(error, match, *changed, **named):
        good = (teacher, build, make, FIT)
        arguments = [*changed, *good[len(changed) :]]
        with pytest.raises(error, match=match):
            born_again(*arguments, **named)

    refused(ValueError, r"at least 1. Received: generations=0", generations=0)
    refused(TypeError, r"Received: build_student=<Sequential", teacher, teacher)
    refused(
        TypeError, r"returns a keras.Model. Received: .*=3", teacher, lambda: 3
    )
    refused(
        TypeError, "`make_distiller` to be a function", teacher, build, teacher
    )
    refused(TypeError, "`fit` to be a dict", teacher, build, make, X)
    refused(TypeError, "compiled Distiller", teacher, build, lambda t, s: s)
    refused(
        ValueError,
        "compiled Distiller",
        teacher,
        build,
        lambda t, s: keras_kd.Distiller(t, s),
    )
    refused(
        ValueError,
        "compiled Distiller",
        teacher,
        build,
        lambda t, s: make(dense(3), s),
    )
    refused(ValueError, "share no weights", teacher, lambda: teacher)
    same = dense(3)
    refused(ValueError, "share no weights", teacher, lambda: same)


@pytest.mark.parametrize(
    ("builds", "error", "match"),
    [
        ([], ValueError, "one or more functions. Received: builds="),
        (dense, TypeError, "a list of functions"),
        ([3], TypeError, r"`builds\[0\]` to be a function. Received: .*=3"),
    ],
    ids=["empty", "one function", "a number"],
)
def test_bad_assistants(builds, error, match):
    with pytest.raises(error, match=match):
        teacher_assistants(dense(3), builds, Making(), FIT)
