"""MLPerf Tiny's files, which nobody here made: they run, shrink and export."""

import os
import re
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd.evaluation import npu
from keras_kd.evaluation import runtimes
from keras_kd.evaluation.litert import LiteRTModel
from keras_kd.search.cost.memory import peak_memory

FOLDER = os.environ.get("KERAS_KD_MLPERF_TINY")
pytestmark = [
    pytest.mark.export,
    pytest.mark.skipif(
        FOLDER is None, reason="needs KERAS_KD_MLPERF_TINY, their folder"
    ),
]
INT8 = (
    "kws_ref_model",
    "resnet8_int8",
    "vww_96_int8",
    "ad01_int8",
    "str_ww_ref_model",
)
# Layers of the models, as the benchmark's paper draws them (Banbury et al.
# 2021, arXiv 2106.07597), and what the converter adds to them.
OPERATORS = {
    "kws_ref_model": {"CONV_2D": 5, "DEPTHWISE_CONV_2D": 4, "SOFTMAX": 1},
    "resnet8_int8": {"CONV_2D": 9, "ADD": 3, "FULLY_CONNECTED": 1},
    "vww_96_int8": {"CONV_2D": 14, "DEPTHWISE_CONV_2D": 13},
    "ad01_int8": {"FULLY_CONNECTED": 10},
    "str_ww_ref_model": {"SOFTMAX": 1},
}


@pytest.fixture(scope="module")
def rows():
    """The rows of the README's table, by file: bytes, memory, arena, NPU."""
    text = Path(FOLDER, "README.md").read_text("utf-8")
    cells = [line.split("|")[1:-1] for line in text.splitlines() if "|" in line]
    return {
        row[0].strip(" `").removesuffix(".tflite"): [
            [float(x.replace(",", "")) for x in re.findall(r"[\d,.]+\d", cell)]
            for cell in row[3:]
        ]
        for row in cells
    }


@pytest.mark.parametrize("name", INT8)
def test_memory_and_arena_are_those_of_the_table(rows, name):
    content = Path(FOLDER, f"{name}.tflite").read_bytes()
    size, peak, arena, _ = rows[name]
    assert [len(content)] == size
    assert [peak_memory(content)] == peak
    found = runtimes.get("tflm").arena(content)
    parts = [found.activations_bytes, found.persistent_bytes]
    assert parts == arena[:2] or parts == arena[-3:-1]
    # To plan the autoencoder, the runtime needs more than to run it.
    planning = {"ad01_int8": 656}.get(name, 0)
    assert found.bytes == sum(parts) + planning


@pytest.mark.parametrize("name", INT8)
def test_it_runs_in_every_runtime(name):
    path = Path(FOLDER, f"{name}.tflite")
    file = LiteRTModel(path)
    assert OPERATORS[name].items() <= Counter(file.operators).items()
    assert runtimes.get("tflm").lacking(path.read_bytes()) == []
    [detail] = file.input_details
    x = np.random.default_rng(0).integers(-128, 128, (2, *detail.shape[1:]))
    outputs = {
        runtime: runtimes.get(runtime).run(path, [x.astype("int8")])[0]
        for runtime in runtimes.ON_TFLITE
    }
    expected = outputs["litert-reference"]
    # The dense layers of TFLite Micro may round otherwise, by a step.
    most = 1 if name == "ad01_int8" else 0
    np.testing.assert_allclose(outputs["tflm"], expected, rtol=0, atol=most)
    np.testing.assert_allclose(outputs["litert"], expected, atol=6)


@pytest.mark.slow
@pytest.mark.parametrize("name", INT8)
def test_the_npu_s_figures_are_those_of_the_table(rows, name, tmp_path):
    pytest.importorskip("ethosu.vela")
    path, written = Path(FOLDER, f"{name}.tflite"), tmp_path / "npu.tflite"
    found = npu.compiled(path, "ethos-u55-128", written)
    kibibytes, milliseconds = rows[name][-1][-2:]
    assert round(found.sram_bytes / 1024, 1) == kibibytes
    assert round(found.milliseconds, 2) == milliseconds
    assert found.npu_share == 1.0


@pytest.mark.untraced
@pytest.mark.parametrize("name", ["resnet8", "ad01"])
def test_a_keras_2_file_is_shrunk_taught_and_exported(name, tmp_path):
    path = Path(FOLDER, f"{name}.h5")
    teacher = keras.models.load_model(path, compile=False)
    student = keras_kd.students.shrink(teacher, width=0.5)
    assert student.count_params() < teacher.count_params() / 2
    distiller = keras_kd.Distiller(teacher, student, alpha=1.0)
    distiller.compile("adam")
    shape = (32, *teacher.input_shape[1:])
    x = np.random.default_rng(0).uniform(0, 1, shape).astype("float32")
    before = [weight.copy() for weight in student.get_weights()]
    distiller.fit(x, batch_size=32, verbose=0)
    after = student.get_weights()
    assert any((a != b).any() for a, b in zip(after, before, strict=True))
    check = keras_kd.export.tflite(
        student,
        tmp_path / "student.tflite",
        "int8",
        x,
        tolerance=0.5,
        runtime="tflm",
    )
    assert check.passed
    assert check.arena_bytes < 55_984
