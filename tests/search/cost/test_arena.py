"""Budgets of a microcontroller's arena and of an NPU."""

import dataclasses

import pytest

import keras_kd
from keras_kd.search.cost.ledger import Ledger

pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def ledger():
    return Ledger()


def small(width=1.0):
    return keras_kd.students.convnet((8, 8, 1), 3, width=width)


def test_the_arena_is_measured_before_training(ledger):
    pytest.importorskip("tflite_micro")
    budget = keras_kd.Budget(arena_bytes=200_000, quantization="int8")
    found = budget.check(small(0.25), ledger)
    # The first maps, and what is alive beside them, are in the arena.
    assert found.peak_memory_bytes < found.arena_bytes < 200_000
    tight = dataclasses.replace(budget, arena_bytes=found.arena_bytes - 1)
    with pytest.raises(keras_kd.OverBudgetError, match="arena_bytes"):
        tight.check(small(0.25), ledger)
    exact = dataclasses.replace(budget, arena_bytes=found.arena_bytes)
    assert exact.check(small(0.25), ledger) == found


def test_a_file_of_the_wrong_kind_has_no_arena(ledger):
    pytest.importorskip("tflite_micro")
    budget = keras_kd.Budget(arena_bytes=10**6, quantization="float16")
    with pytest.raises(
        ValueError, match=r"`arena_bytes`.* DEQUANTIZE of float16 in `stage"
    ) as error:
        budget.check(small(0.25), ledger)
    assert "path" not in str(error.value)


@pytest.mark.slow
def test_an_npu_has_its_own_memory_and_time(ledger):
    pytest.importorskip("ethosu.vela")
    budget = keras_kd.Budget(
        target="ethos-u55-128", sram_bytes=100_000, latency_ms=10
    )
    assert budget.quantization == "int8"
    found = budget.check(small(0.25), ledger)
    assert 0 < found.sram_bytes < 100_000
    # Vela's estimate: not the time on this machine.
    assert 0 < found.latency_ms < 0.1
    plain = keras_kd.Budget(latency_ms=10_000, quantization="int8")
    assert plain.check(small(0.25), ledger).latency_ms != found.latency_ms


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sram_bytes": 9}, "`target` to be given for `sram_bytes`"),
        (
            {"size_bytes": 9, "target": "ethos-u55-129"},
            "Did you mean 'ethos-u55-128'",
        ),
        (
            {
                "size_bytes": 9,
                "target": "ethos-u55-128",
                "quantization": "float16",
            },
            "'int8' for a `target`",
        ),
    ],
)
def test_a_wrong_target_is_refused(arguments, message):
    pytest.importorskip("ethosu.vela")
    with pytest.raises(ValueError, match=message):
        keras_kd.Budget(**arguments)


def test_text_has_units():
    assert keras_kd.Budget.parse(arena_bytes="40kB").arena_bytes == 40_000
