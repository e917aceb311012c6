"""Vela's figures of a compiled file, and what it refuses."""

import sys

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd.evaluation import npu
from keras_kd.evaluation.litert import LiteRTModel
from keras_kd.evaluation.tflite_file import read_file

pytest.importorskip("ethosu.vela")
pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("npu")
    x = np.random.default_rng(0).uniform(-1, 1, (50, 8, 8, 1))
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    paths = {kind: folder / f"{kind}.tflite" for kind in ("float32", "int8")}
    keras_kd.export.tflite_files(model, paths, x, verify=False)
    return paths


@pytest.mark.slow
def test_a_file_is_compiled_beside_the_plain_one(files):
    found = npu.compiled(files["int8"], "ethos-u55-128")
    assert found.path == files["int8"].with_name("int8.ethos-u55-128.tflite")
    assert found.size_bytes == found.path.stat().st_size
    assert found.clock_mhz == 500
    # The input and the convolution's result are alive at once.
    assert 64 + 6 * 6 * 8 <= found.sram_bytes < 10_000
    # 10,368 multiplications of the convolution, 128 a cycle at most.
    assert found.milliseconds > 1e3 * 6 * 6 * 8 * 9 / 128 / 500e6
    left = read_file(found.path.read_bytes()).operators
    plain = LiteRTModel(files["int8"]).operators
    on_cpu = [name for name in left if name != "ethos-u"]
    assert found.npu_share == 1 - len(on_cpu) / len(plain)


@pytest.mark.slow
def test_a_file_of_floats_has_nothing_for_the_npu(files, tmp_path):
    with pytest.raises(ValueError, match="quantization='int8'"):
        npu.compiled(files["float32"], "ethos-u55-128", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_an_unknown_npu_has_a_nearest_name(files):
    with pytest.raises(ValueError, match="Did you mean 'ethos-u55-128'"):
        npu.compiled(files["int8"], "ethos-u55-129")


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ethosu.vela.architecture_features", None)
    with pytest.raises(ImportError, match=r"keras-kd\[micro\]"):
        npu.check_target("Budget", "ethos-u55-128")
