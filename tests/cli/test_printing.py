"""Words for numbers; a table no cell of which is cut."""

import json

import pytest

from keras_kd.cli import printing


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("accuracy", 0.9876, "98.8%"),
        ("latency_ms_p50", 0.006572, "0.00657"),
        ("size_bytes", 12345, "12,345"),
        ("path", "a.tflite", "a.tflite"),
        ("passed", True, "True"),
        ("agreement", None, ""),
    ],
    ids=["share", "float", "count", "text", "flag", "nothing"],
)
def test_measure(name, value, text):
    assert printing.measure(name, value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.3828, "0.383"),
        (4.5, "4.5"),
        (99.96, "100"),
        (12345.6, "12,346"),
        (7, "7"),
        (0.0, "0"),
    ],
)
def test_three_digits_are_all_that_mean_something(value, text):
    assert printing.number(value) == text


def test_percent_and_number_leave_out_what_is_not_there():
    assert printing.percent(None) == ""
    assert printing.number(None) == ""


def test_table_aligns_its_columns(capsys):
    printing.print_table(("model", "bytes"), [("a" * 90, "1"), ("b", "1,234")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["model", "bytes"]
    assert lines[1].split() == ["a" * 90, "1"]
    assert len({len(line) for line in lines}) == 1
    assert lines[2].endswith("1,234")


def test_json_is_all_that_is_printed(capsys):
    printing.print_json({"accuracy": 0.5})
    assert json.loads(capsys.readouterr().out) == {"accuracy": 0.5}


def test_json_refuses_what_json_has_no_word_for():
    with pytest.raises(ValueError, match="Out of range float values"):
        printing.print_json({"accuracy": float("nan")})
