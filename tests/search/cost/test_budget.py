"""Limits, how far a student is over them, and how that is said."""

import dataclasses
import json
import pickle

import keras
import pytest

import keras_kd
from keras_kd import Budget
from keras_kd import OverBudgetError
from keras_kd.search import Measurement


def test_whole_numbers_become_integers_in_any_form():
    budget = Budget(size_bytes=5e4, flops=1_000_000.0, latency_ms=2)
    assert budget.limits == {
        "flops": 1_000_000,
        "size_bytes": 50_000,
        "latency_ms": 2.0,
    }
    assert type(budget.size_bytes) is int
    assert type(budget.latency_ms) is float


def test_float32_is_the_default_by_its_other_name():
    assert Budget(flops=1, quantization="float32") == Budget(flops=1)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({}, r"at least one limit.*`latency_ms`.*size_bytes=50_000"),
        ({"num_threads": 2}, "at least one limit"),
        ({"size_bytes": 0}, "`size_bytes`.*greater than 0.*size_bytes=0"),
        ({"flops": -3}, "`flops`.*greater than 0"),
        ({"latency_ms": float("nan")}, "finite number.*latency_ms=nan"),
        ({"latency_ms": float("inf")}, "finite number.*latency_ms=inf"),
        ({"size_bytes": 1.5}, "a whole number greater than 0"),
        ({"flops": 1, "quantization": "int4"}, r"'int4'\. Did you mean 'int8'"),
        ({"flops": 1, "num_threads": 0}, "`num_threads`.*at least 1"),
    ],
)
def test_bad_values(arguments, match):
    with pytest.raises(ValueError, match=match):
        Budget(**arguments)


@pytest.mark.parametrize("value", ["50kB", True, [1]], ids=str)
def test_a_limit_is_a_number(value):
    with pytest.raises(TypeError, match="`size_bytes`.*finite number"):
        Budget(size_bytes=value)


def test_violation_is_the_worst_share():
    budget = Budget(size_bytes=50_000, latency_ms=2.0, num_params=100)
    over = {"size_bytes": 61_004, "latency_ms": 3.0, "num_params": 100}
    assert budget.violation(over) == pytest.approx(0.5, abs=1e-12)
    assert budget.violation(over | {"latency_ms": 2.0}) == pytest.approx(
        11_004 / 50_000, abs=1e-12
    )
    assert budget.violation({"size_bytes": 50_000, "latency_ms": 2.0}) == 0.0
    assert budget.violation({"accuracy": 0.5}) == 0.0


def test_a_mapping_and_a_measurement_say_the_same():
    budget = Budget(size_bytes=1000, flops=10)
    values = {"size_bytes": 1500, "flops": 11}
    measurement = Measurement(**values)
    assert budget.violation(measurement) == budget.violation(values) == 0.5
    assert budget.reason(measurement) == budget.reason(values)


def test_what_is_not_a_number_does_not_fit():
    budget = Budget(latency_ms=1.0)
    assert budget.violation({"latency_ms": float("nan")}) == float("inf")


@pytest.mark.parametrize(
    ("limits", "values", "text"),
    [
        (
            {"size_bytes": 50_000},
            {"size_bytes": 61_004},
            "size_bytes 61,004 is above the budget's 50,000 (22 % over)",
        ),
        (
            {"latency_ms": 2.0},
            {"latency_ms": 2.0345},
            "latency_ms 2.034 is above the budget's 2 (1.7 % over)",
        ),
        (
            {"flops": 10, "num_params": 100},
            {"flops": 20, "num_params": 1000},
            "num_params 1,000 is above the budget's 100 (900 % over); "
            "flops 20 is above the budget's 10 (100 % over)",
        ),
        ({"flops": 10}, {"flops": 10}, ""),
    ],
    ids=["bytes", "milliseconds", "worst first", "fits"],
)
def test_the_reason_in_words(limits, values, text):
    assert Budget(**limits).reason(values) == text


def test_the_reason_says_that_a_value_is_a_bound():
    measurement = Measurement(size_bytes=2000, at_least=("size_bytes",))
    text = Budget(size_bytes=1000).reason(measurement)
    assert text.startswith("size_bytes of at least 2,000 is above")


def test_json_there_and_back():
    budget = Budget(size_bytes=9, latency_ms=0.5, quantization="int8")
    text = json.dumps(budget.to_dict())
    assert (
        text == '{"size_bytes": 9, "latency_ms": 0.5, "quantization": "int8"}'
    )
    assert Budget.from_dict(json.loads(text)) == budget


def test_json_files_may_have_units():
    budget = Budget.from_dict({"size_bytes": "64KiB", "latency_ms": "500us"})
    assert budget == Budget(size_bytes=65_536, latency_ms=0.5)


def test_json_with_an_unknown_name():
    with pytest.raises(ValueError, match="Did you mean 'size_bytes'"):
        Budget.from_dict({"size_byte": 3})
    with pytest.raises(TypeError, match="an object with the limits by name"):
        Budget.from_dict(["size_bytes", 3])


def test_a_student_over_a_cheap_limit_is_told_at_once(student, monkeypatch):
    from keras_kd.search.cost import quantities

    # 2 filters of 3x3 and their biases, then 2 x 3 weights and 3 biases.
    count = 2 * 9 + 2 + 6 + 3
    monkeypatch.setattr(quantities, "converted", None)
    budget = Budget(num_params=20, size_bytes=10**6, latency_ms=100.0)
    with pytest.raises(OverBudgetError, match="`student` does not fit") as info:
        budget.check(student)
    assert info.value.measurement == Measurement(num_params=count)
    assert info.value.violation == pytest.approx(count / 20 - 1, abs=1e-12)
    assert info.value.reason == budget.reason({"num_params": count})
    assert info.value.reason in str(info.value)


def test_a_student_that_fits_comes_back_measured(student):
    budget = Budget(num_params=29, flops=10**5)
    measured = budget.check(student)
    # Multiplications and additions of 16 positions x 2 filters x 9 weights,
    # biases, pooling sums, the dense layer.
    assert 2 * 16 * 2 * 9 <= measured.flops <= 2 * 16 * 2 * 9 + 200
    assert measured.num_params == 29
    assert budget.violation(measured) == 0.0


def test_measure_goes_on_past_the_first_limit(student):
    budget = Budget(num_params=1, flops=1)
    with pytest.raises(OverBudgetError) as info:
        budget.check(student)
    assert info.value.measurement.flops is None
    assert budget.measure(student).flops > 0


def test_a_distiller_is_measured_as_its_student(teacher, student):
    distiller = keras_kd.Distiller(teacher, student)
    assert Budget(num_params=29).check(distiller).num_params == 29


@pytest.mark.parametrize(
    ("model", "error", "match"),
    [
        ("student.keras", TypeError, "`student` to be a keras.Model"),
        (keras.Sequential([]), ValueError, "a built model"),
    ],
    ids=["path", "unbuilt"],
)
def test_what_cannot_be_measured(model, error, match):
    with pytest.raises(error, match=match):
        Budget(num_params=3).check(model)


def test_the_error_survives_pickling():
    error = OverBudgetError(
        "no", measurement=Measurement(flops=3), violation=0.5, reason="flops"
    )
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.measurement, copy.violation, copy.reason) == (
        "no",
        Measurement(flops=3),
        0.5,
        "flops",
    )


def test_a_budget_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Budget(flops=1).flops = 2
