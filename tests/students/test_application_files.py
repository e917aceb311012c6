"""Classifiers of Keras, shrunk, distilled and exported to int8.

The rows of `benchmarks/export_matrix.py`, made again.
"""

import importlib
import inspect
import json
import os
import sys
from pathlib import Path

import keras
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RESULTS = json.loads((BENCHMARKS / "results/export_matrix.json").read_text())
ROWS = RESULTS["applications"]
NAMES = sorted(
    name
    for name, member in vars(keras.applications).items()
    if inspect.isfunction(member) and name[0].isupper()
)
# Of half a minute, and far from every tolerance.
QUICK = ["VGG16", "Xception"]
DATA = Path(os.environ.get("TFDS_DATA_DIR", ""), "cifar10_jpeg")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.export,
    pytest.mark.skipif(
        "TFDS_DATA_DIR" not in os.environ or not DATA.is_dir(),
        reason="needs the data set cifar10_jpeg in TFDS_DATA_DIR",
    ),
]


@pytest.fixture(scope="module")
def benchmark():
    # A script; it imports its neighbours.
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("matrix_rows")
    sys.path.remove(str(BENCHMARKS))


def named(name):
    asked = os.environ.get("KERAS_KD_APPLICATIONS") == "all"
    reason = "half an hour for all: set KERAS_KD_APPLICATIONS=all"
    rest = pytest.mark.skipif(name not in QUICK and not asked, reason=reason)
    return pytest.param(name, marks=rest)


@pytest.mark.parametrize("name", map(named, NAMES))
def test_a_step_and_an_int8_file(name, benchmark):
    row = benchmark.application(name)
    files = row["files"]
    assert row["params"] < 0.13 * row["teacher_params"]
    assert files["float32"]["passed"]
    # Whatever it loses, it is int8 (`tflite` refuses other types).
    assert 0.25 < files["int8"]["ratio"] < 0.55
    told = ROWS.get(name, row)["files"]["int8"]["passed"]
    assert files["int8"]["passed"] == told
    if not told:
        # No file then, but a word on where it goes wrong.
        assert "The layers that lose most" in files["int8"]["reason"]
        assert "quantize_aware" in files["int8"]["reason"]


def test_the_table_knows_no_other_names():
    assert ROWS.keys() <= {*NAMES}
    assert len(ROWS) >= 14
