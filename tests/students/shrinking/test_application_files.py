"""Classifiers of Keras, shrunk, distilled and exported to int8.

The rows of `benchmarks/export_matrix.py`, made again.
"""

import os
from pathlib import Path

import pytest
from applications import NAMES
from benchmark_scripts import imported
from benchmark_scripts import results
from exhaustive import rest_when_asked
from exhaustive import when_asked

ROWS = results("export_matrix")["applications"]
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


@pytest.mark.parametrize("name", rest_when_asked(NAMES, ["VGG16"]))
def test_a_step_and_its_files(name, benchmark):
    row = benchmark.application(name)
    files = row["files"]
    told = ROWS.get(name, row)["files"]
    assert row["params"] < 0.13 * row["teacher_params"]
    # Random networks of hundreds of layers amplify what float32 rounds; of a
    # thousand (EfficientNetV2L: 0.147) so much that there is no bound.
    if name != "EfficientNetV2L":
        assert files["float32"]["max_difference"] < 1e-3
    # Whatever it loses, it is int8 (`tflite` refuses other types).
    assert 0.25 < files["int8"]["ratio"] < 0.55
    assert {kind: file["passed"] for kind, file in files.items()} == {
        kind: file["passed"] for kind, file in told.items()
    }
    if not told["int8"]["passed"]:
        # No file then, but a word on where it goes wrong.
        assert "The layers that lose most" in files["int8"]["reason"]
        assert "quantize_aware" in files["int8"]["reason"]


@when_asked
def test_a_quantize_aware_one_computes_what_its_file_does(benchmark):
    """Its images are from -1 to 1, where each byte is half a step."""
    files = benchmark.application("MobileNetV2")["files"]
    assert not files["int8"]["passed"]
    aware = files[benchmark.AWARE]
    assert aware["passed"]
    assert aware["agreement"] == 1.0
    # Measured: 0. Rounded up instead of to even, the bytes made it 0.13.
    assert aware["max_difference"] < 1 / 255


def test_the_table_knows_no_other_names():
    assert ROWS.keys() <= {*NAMES}
    assert len(ROWS) >= 40
