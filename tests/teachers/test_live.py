"""Any kind of teacher, as the Distiller holds it."""

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd.core.input_choice import check_input_choice
from keras_kd.core.input_choice import choose_input
from keras_kd.core.taps import Tapped
from keras_kd.teachers.bind import bind


class Cache:
    """What the Distiller sees of a TeacherCache."""

    spec = Tapped(
        keras.KerasTensor((None, 3)),
        keras.KerasTensor((None, 3)),
        {"pool": keras.KerasTensor((None, 8))},
    )


def test_each_kind_is_bound(teacher, images):
    kinds = {
        "LiveTeacher": teacher,
        "_BoundEnsemble": keras_kd.teachers.Ensemble([teacher]),
        "_BoundHost": keras_kd.teachers.HostTeacher(len, 3, output="logits"),
        "JoinedTeacher": Cache(),
    }
    for name, given in kinds.items():
        bound = bind(given)
        assert type(bound).__name__ == name
        assert bound.model is given
        assert tuple(bound.spec.logits.shape) == (None, 3)


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ("teacher.keras", r"`keras_kd\.teachers\.load\(path\)`"),
        ([1], "Ensemble"),
        (len, "HostTeacher"),
        (3, "or None"),
    ],
    ids=str,
)
def test_other_types_are_refused_with_advice(value, advice):
    with pytest.raises(
        TypeError, match=f"`teacher` to be a keras.Model.*{advice}"
    ):
        bind(value)


def test_joined_outputs_are_read_as_float32():
    logits = np.array([[1.0, -np.inf, 3.0]], "float16")
    pool = np.ones((1, 8), "float16")
    bound = bind(Cache(), ["pool"])
    tapped = bound(None, {"logits": logits, "features": {"pool": pool}})
    np.testing.assert_array_equal(tapped.logits, logits.astype("float32"))
    assert tapped.logits.dtype == tapped.features["pool"].dtype == "float32"


def test_joined_outputs_that_do_not_fit():
    with pytest.raises(ValueError, match=r"`cache\.join\(dataset\)`"):
        bind(Cache())(None, None)
    with pytest.raises(ValueError, match=r"one of \['pool'\].*Did you mean"):
        bind(Cache(), ["pol"])
    with pytest.raises(ValueError, match=r"layers=\['conv'\]"):
        keras_kd.teachers.JoinedTeacher(None, ["conv"])(
            None, {"logits": np.zeros((2, 3))}
        )
    with pytest.raises(ValueError, match=r"shape \(None, 3\).*\(2, 4\)"):
        bind(Cache())(None, {"logits": np.zeros((2, 4))})
    with pytest.raises(ValueError, match=r"TeacherCache\.build"):
        bind(Cache(), [], "logits")


def test_part_of_the_input():
    told = {"subject": "Distiller", "argument": "teacher_input"}
    x = {"sound": 1, "picture": 2}
    assert choose_input(x, None, **told) is x
    assert choose_input(x, "sound", **told) == 1
    assert choose_input(x, lambda x: -x["picture"], **told) == -2
    with pytest.raises(ValueError, match=r"\['sound', 'picture'\].*'sound'\?"):
        choose_input(x, "sund", **told)
    with pytest.raises(ValueError, match="x is a dict"):
        choose_input([1], "sound", **told)
    with pytest.raises(TypeError, match="`teacher_input` to be a function"):
        check_input_choice(3, **told)
