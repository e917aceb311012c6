"""Several models measured in one pass over the data."""

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd import evaluate
from keras_kd.evaluation.one_pass import Subject
from keras_kd.evaluation.one_pass import evaluate_all

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 4)).astype("float32")
Y = RNG.integers(0, 3, len(X))
BATCHES = 3


class Counted:
    """A teacher of logits that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self._weights = np.random.default_rng(1).normal(size=(4, 3))

    def __call__(self, x):
        self.calls += 1
        return x @ self._weights.astype("float32")


@pytest.fixture(scope="module")
def students():
    return [keras_kd.students.mlp((4,), 3, width=w) for w in (0.1, 0.2)]


def test_each_is_measured_as_alone(students, tmp_path):
    path = tmp_path / "student.keras"
    students[0].save(path)
    probabilities = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, "softmax")]
    )
    models = [*students, path, probabilities]
    kind = {"teacher_output": "logits", "latency": False}
    teacher = Counted()
    found = evaluate_all(
        [Subject(model) for model in models], (X, Y), teacher, **kind
    )
    assert teacher.calls == BATCHES
    alone = [evaluate(model, (X, Y), teacher, **kind) for model in models]
    assert found == alone
    assert len({one.agreement for one in found}) > 1


def beside_itself(teacher, **how):
    """Measure a teacher of logits as the only model, too."""
    subjects = [Subject(teacher, "logits")]
    how |= {"teacher_output": "logits", "latency": False}
    (found,) = evaluate_all(subjects, (X, Y), teacher, **how)
    return found


def test_a_teacher_among_the_models_runs_once():
    teacher = Counted()
    found = beside_itself(teacher)
    assert teacher.calls == BATCHES
    assert found.agreement == 1
    assert found.teacher_kl == pytest.approx(0, abs=1e-6)
    expected = (Counted()(X).argmax(-1) == Y).mean()
    assert found.accuracy == pytest.approx(expected)


def test_a_teacher_with_another_input_is_not_the_model():
    teacher = Counted()
    found = beside_itself(teacher, teacher_input=lambda x: -x)
    assert teacher.calls == 2 * BATCHES
    same = Counted()(X).argmax(-1) == Counted()(-X).argmax(-1)
    assert found.agreement == pytest.approx(same.mean())


def test_batches_are_told_and_a_broken_model_before_the_first(students):
    told = []
    with pytest.raises(ValueError, match=r"an existing file.*gone\.tflite"):
        evaluate_all(
            [Subject(students[0]), Subject("gone.tflite")],
            (X, Y),
            watch=told.append,
        )
    assert told == []
    evaluate_all(
        [Subject(students[0])], (X, Y), latency=False, watch=told.append
    )
    assert told == [1, 2, 3]
