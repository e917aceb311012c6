"""Every search of `tuning/` runs, alone and in several processes."""

import json
import socket
import sys
from pathlib import Path

import keras
import numpy as np
import processes
import pytest
from compiled_firmware import compiled
from compiled_firmware import largest_difference
from compiled_firmware import reference_answers
from compiled_firmware import run_firmware

import keras_kd
from keras_kd.cli.search import read_budget

TUNING = Path(__file__).parents[1] / "tuning"
BUDGETS = {
    "microcontroller": keras_kd.Budget(
        size_bytes=256_000, arena_bytes=65_536, quantization="int8"
    ),
    "phone": keras_kd.Budget(
        size_bytes=4_000_000,
        latency_ms=10.0,
        flops=600_000_000,
        quantization="int8",
    ),
    "browser": keras_kd.Budget(
        size_bytes=500_000, latency_ms=10.0, quantization="float16"
    ),
}


def run(name, folder, *arguments):
    """Run a search in its short form; return the results in its last line."""
    done = processes.run_program(
        TUNING / name, "--fast", "--output", folder, *arguments
    )
    return last_line(done)


def last_line(done):
    return json.loads(done.stdout.splitlines()[-1])


def check_best(results):
    """Compare the results with the student that the search left."""
    budget = BUDGETS["microcontroller"]
    assert budget.violation(results["costs"]) == 0.0
    student = keras.models.load_model(Path(results["project"], "student.keras"))
    # A byte a weight, at least.
    assert student.count_params() < results["costs"]["size_bytes"] <= 256_000
    _, (x, y) = keras_kd.data.digits()
    accuracy = np.mean(student.predict(x, verbose=0).argmax(-1) == y)
    assert results["test_accuracy"] == pytest.approx(accuracy)
    assert len(results["statuses"]) == 4
    assert set(results["statuses"]) <= {"feasible", "infeasible"}


@pytest.mark.parametrize("name", BUDGETS)
def test_a_budget_file_says_whom_it_is_for(name):
    path = TUNING / "budgets" / f"{name}.json"
    content = json.loads(path.read_text())
    assert "arXiv" in content["for"] or "HTTP Archive" in content["for"]
    assert read_budget(path) == BUDGETS[name]


def test_every_budget_file_is_tested():
    files = (TUNING / "budgets").glob("*.json")
    assert {path.stem for path in files} == BUDGETS.keys()


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The folder of a search for a microcontroller, and its results."""
    folder = tmp_path_factory.mktemp("search")
    return folder, run("search_student.py", folder)


@pytest.mark.slow
@pytest.mark.export
def test_search_student(searched):
    before, results = searched
    check_best(results)
    # Run again, it has nothing left to do.
    assert run("search_student.py", before) == results


@pytest.mark.slow
@pytest.mark.export
def test_a_search_for_a_microcontroller_ends_with_a_program(searched, tmp_path):
    pytest.importorskip("tflite_micro")
    before, results = searched
    folder = tmp_path / "firmware"
    again = run("search_student.py", before, "--microcontroller", folder)
    assert again == results
    # The program brings training images with it; the chip knows them all.
    train = keras_kd.data.load("digits").train
    images = np.concatenate([x for x, _ in train.as_numpy_iterator()])
    student = keras.models.load_model(Path(results["project"], "student.keras"))
    answers = reference_answers(folder, {student.inputs[0].name: images})
    program = compiled(folder, tmp_path, second_label="kLabel1")
    found, model = run_firmware(program, *answers)
    assert largest_difference(found) <= 1
    limits = BUDGETS["microcontroller"]
    assert len(model) <= limits.size_bytes
    assert int(found["arena"][0]) <= limits.arena_bytes


@pytest.mark.slow
def test_search_losses(tmp_path):
    results = run("search_losses.py", tmp_path)
    assert results["trials"] == 3
    assert list(results["validation_accuracy"]) == [
        "SoftTargets",
        "LogitsMSE",
        "HardLabels",
    ]
    # Shares of the 129 validation images.
    for accuracy in results["validation_accuracy"].values():
        assert accuracy * 129 == pytest.approx(round(accuracy * 129), abs=1e-3)


@pytest.mark.slow
@pytest.mark.multi_worker
def test_one_chief_and_two_workers(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = processes.run(
        *("bash", TUNING / "cluster" / "run.sh"),
        *("--fast", "--output", tmp_path),
        PYTHON=sys.executable,
        LOGS=str(tmp_path / "logs"),
        KERASTUNER_ORACLE_PORT=str(port),
    )
    check_best(last_line(done))
    # Who trained nothing printed no result, and ended without an error.
    for name in ("worker_1", "worker_2"):
        assert (tmp_path / "logs" / f"{name}.out").read_text() == ""
