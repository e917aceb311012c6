"""Every family becomes a float32 and an int8 file of LiteRT's operators."""

import pytest
from small_families import SMALL
from small_families import examples
from small_families import small

from keras_kd.export import tflite_files

pytestmark = [pytest.mark.export, pytest.mark.slow]


@pytest.mark.parametrize("name", SMALL)
def test_it_converts(name, tmp_path):
    model = small(name)
    paths = {kind: tmp_path / f"{kind}.tflite" for kind in ("float32", "int8")}
    results = tflite_files(model, paths, calibration=examples(model, 100))
    assert results["float32"].passed
    assert results["int8"].passed
    assert results["int8"].output_dtype == "int8"
    text = name.startswith("text_")
    assert results["int8"].input_dtype == ("int32" if text else "int8")
    assert results["int8"].size_bytes < results["float32"].size_bytes
