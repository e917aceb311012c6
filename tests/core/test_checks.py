"""Every error has one sentence form; NaN is outside every interval."""

import math
import re

import numpy as np
import pytest

from keras_kd.core import checks


def test_requirement_says_who_what_and_what_to_do():
    text = checks.requirement(
        "SoftTargets", "temperature", "greater than 0", -1, "Use 2 to 6."
    )
    assert text == (
        "`SoftTargets` needs `temperature` to be greater than 0. "
        "Received: temperature=-1. Use 2 to 6."
    )


def test_requirement_without_advice_ends_after_what_came():
    text = checks.requirement("A", "b", "an integer", "x")
    assert text == "`A` needs `b` to be an integer. Received: b='x'."


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ((1, None), "(1, None)"),
        ((3,), "(3,)"),
        ([1, "a"], "[1, 'a']"),
        ("x" * 300, "'" + "x" * 196 + "..."),
    ],
    ids=["tuple", "one-tuple", "list", "long"],
)
def test_show(value, shown):
    assert checks.show(value) == shown


def test_show_prints_the_name_of_a_model(teacher):
    assert checks.show(teacher) == "<Functional teacher>"


@pytest.mark.parametrize(
    "value", [0.5, 1, np.float32(0.5), np.int64(1)], ids=repr
)
def test_check_number_returns_a_float(value):
    number = checks.check_number("A", "b", value, low=0, high=1)
    assert type(number) is float
    assert number == float(value)


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        (math.nan, {}),
        (math.inf, {}),
        (math.nan, {"low": 0}),
        (0, {"above": 0}),
        (-0.1, {"low": 0}),
        (1.1, {"low": 0, "high": 1}),
    ],
    ids=["nan", "inf", "nan-low", "above", "low", "high"],
)
def test_check_number_refuses_values_outside(value, bounds):
    received = re.escape(f"Received: b={value!r}")
    with pytest.raises(ValueError, match=received):
        checks.check_number("A", "b", value, **bounds)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"above": 0}, "a finite number greater than 0."),
        ({"low": 0, "high": 1}, "a finite number between 0 and 1."),
        ({"low": 2}, "a finite number at least 2."),
        ({"high": 2}, "a finite number at most 2."),
        ({}, "a finite number."),
    ],
    ids=["above", "between", "low", "high", "any"],
)
def test_check_number_words_its_bounds(bounds, expected):
    with pytest.raises(TypeError, match=re.escape(f"to be {expected}")):
        checks.check_number("A", "b", "1", **bounds)


@pytest.mark.parametrize("value", [True, "1", None, 1j, [1.0]], ids=repr)
def test_check_number_refuses_other_types(value):
    with pytest.raises(TypeError, match="`A` needs `b` to be a finite number"):
        checks.check_number("A", "b", value)


@pytest.mark.parametrize("value", [2, np.int32(2)], ids=repr)
def test_check_integer_returns_an_int(value):
    number = checks.check_integer("A", "b", value, low=2)
    assert type(number) is int
    assert number == 2


@pytest.mark.parametrize("value", [2.0, True, "2", None], ids=repr)
def test_check_integer_refuses_other_types(value):
    with pytest.raises(TypeError, match="an integer of at least 1"):
        checks.check_integer("A", "b", value, low=1)


def test_check_integer_refuses_values_below():
    with pytest.raises(ValueError, match=r"Received: b=0\. Use 1\."):
        checks.check_integer("A", "b", 0, low=1, advice="Use 1.")


def test_check_choice_returns_the_choice():
    assert checks.check_choice("A", "b", "int8", ["int8", None]) == "int8"


def test_check_choice_lists_the_choices_and_the_nearest():
    with pytest.raises(
        ValueError,
        match=r"one of 'int8', 'float16'\. Received: b='int-8'\. "
        r"Did you mean 'int8'\?",
    ):
        checks.check_choice("A", "b", "int-8", ["int8", "float16"])


def test_nearest_says_nothing_when_nothing_is_near():
    assert checks.nearest("zzz", ["int8", "float16", None]) == ""


def test_nearest_never_offers_what_was_given():
    assert checks.nearest("img", ["img"]) == ""
    assert checks.nearest("img", ["img", "imgs"]) == "Did you mean 'imgs'?"
