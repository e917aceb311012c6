"""What a report refuses, or warns of."""

import sys

import numpy as np
import pytest

import keras_kd
from keras_kd.reporting.contents import Contents
from keras_kd.reporting.sections.measured import answer


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ship": "studnet"}, r"Received: ship='studnet'. Did you mean 'stud"),
        ({"rounding": {"a": []}}, "Received: rounding='a'"),
        ({"dataset": np.eye(3)}, "needs `models` to run on `dataset`"),
        ({"models": {"teacher": "a.keras"}}, "needs a `dataset` to run"),
        (
            {"models": {"student": "a.keras"}, "dataset": np.eye(3)},
            r"'teacher' first, with 'teacher' and 'student' among them",
        ),
        ({"objective": ("val_loss", "low")}, "a name and 'max' or 'min'"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, evaluations, changes, message):
    with pytest.raises(ValueError, match=message):
        keras_kd.report(tmp_path / "a.html", evaluations, **changes)
    assert not list(tmp_path.iterdir())


def test_all_problems_are_named_at_once(tmp_path, evaluations):
    with pytest.raises(ValueError, match="(?s)ship='a'.*'max' or 'min'"):
        keras_kd.report(
            tmp_path / "a.html", evaluations, ship="a", objective=("a", "b")
        )


@pytest.mark.parametrize("given", [{}, {"teacher": 0.9}])
def test_other_things_than_evaluations_are_refused(tmp_path, given):
    with pytest.raises(ValueError, match="`keras_kd.evaluate` returns one"):
        keras_kd.report(tmp_path / "a.html", given)


def test_a_missing_package_is_named(tmp_path, evaluations, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"`jinja2`.*keras-kd\[report\]"):
        keras_kd.report(tmp_path / "a.html", evaluations)


def test_a_file_far_behind_its_teacher_is_not_to_be_shipped():
    found = {
        name: keras_kd.Evaluation(name, 500, accuracy=accuracy)
        for name, accuracy in (("teacher", 0.98), ("student", 0.87))
    }
    section = answer(Contents("", found, "teacher", ship="student"))
    assert "far behind teacher" in section.words[0]
    assert "Ship" not in section.words[0]
