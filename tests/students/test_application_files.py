"""Classifiers of Keras, shrunk, distilled and exported to int8.

The rows of `benchmarks/export_matrix.py`, made again.
"""

import os
from pathlib import Path

import pytest
from applications import NAMES
from applications import all_when_asked
from benchmark_scripts import imported
from benchmark_scripts import results

ROWS = results("export_matrix")["applications"]
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
    with imported("matrix_rows") as module:
        yield module


@pytest.mark.parametrize("name", all_when_asked(QUICK, "half an hour for all"))
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
