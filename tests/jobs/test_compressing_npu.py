"""`compress` for an NPU: its compiler's estimates, and its compiled file."""

import io
import json
import sys

import keras
import pytest

import keras_kd
from keras_kd.core.progress import Progress
from keras_kd.jobs.compressed import make_setting

pytestmark = pytest.mark.export
TARGET = "ethos-u55-128"


def compress(output, **options):
    keras.utils.set_random_seed(0)
    teacher = keras_kd.students.mlp((8, 8, 1), 10, hidden=(32,))
    return keras_kd.compress(
        teacher,
        "digits",
        output=output,
        progress=Progress(io.StringIO()),
        trials=1,
        epochs=1,
        max_train=128,
        **options,
    )


def test_a_missing_compiler_is_named(monkeypatch):
    module = "ethosu.vela.architecture_features"
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"keras-kd\[micro\]"):
        make_setting("t.keras", "digits", latency_ms=1, target=TARGET)


@pytest.mark.slow
def test_an_npu_gets_its_compiled_file(tmp_path):
    pytest.importorskip("ethosu.vela")
    with pytest.raises(ValueError, match=f"Did you mean '{TARGET}'"):
        compress(tmp_path, latency_ms="1ms", target="ethos-u55-129")
    made = compress(tmp_path, latency_ms="1ms", target=TARGET)
    assert made.npu.path == made.path.with_suffix(f".{TARGET}.tflite")
    assert made.npu.path.stat().st_size == made.npu.size_bytes
    # Vela's estimate, not the time here.
    assert 0 < made.trials[0].latency_ms <= 1
    assert made.trials[0].latency_ms == pytest.approx(
        made.npu.milliseconds, rel=0.5
    )
    stored = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert stored["npu"]["sram_bytes"] == made.npu.sram_bytes
    assert f"{made.npu.sram_bytes:,} bytes of SRAM" in made.answer()
