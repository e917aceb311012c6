"""What the parent says when the converter does not end well."""

import contextlib
import tempfile

import keras
import numpy as np
import pytest
from processes import PATIENCE

from keras_kd import export
from keras_kd.export.context import Context
from keras_kd.export.conversion import parent
from keras_kd.export.conversion import process

pytestmark = pytest.mark.export

# How a program begins that stands in the converter's place.
TAKES_A_JOB = """
import os, sys
answers = os.dup(1)
os.dup2(2, 1)
job = sys.stdin.readline().strip()
"""


def _convert(folder, monkeypatch, program, timeout=PATIENCE):
    """Run `convert_all` with another program in the converter's place."""
    path = folder / "program.py"
    path.write_text(TAKES_A_JOB + program)
    with _another(monkeypatch, path):
        parent.convert_all(
            Context("export.tflite", None),
            folder,
            {"int8": folder / "x.tflite"},
            None,
            timeout,
        )


@contextlib.contextmanager
def _another(monkeypatch, program):
    """Let a program stand in the converter's place."""
    monkeypatch.setattr(process, "_PROGRAM", str(program))
    with process.Converter() as other:
        monkeypatch.setattr(parent, "converter", lambda: other)
        yield


@pytest.mark.parametrize(
    ("program", "match"),
    [
        (
            "import os, signal; print('op 7', flush=True); "
            "os.kill(os.getpid(), signal.SIGSEGV)",
            r"crashed \(SIGSEGV, exit code -11\).*float32.*op 7",
        ),
        ("import os; os.abort()", r"crashed \(SIGABRT, exit code -6\)"),
        ("raise SystemExit(139)", r"crashed \(SIGSEGV, exit code 139\)"),
        ("raise SystemExit(134)", r"crashed \(SIGABRT, exit code 134\)"),
        ("raise MemoryError('no room')", r"exit code 1\..*no room"),
    ],
    ids=["segfault", "abort", "rc139", "rc134", "error"],
)
def test_a_crash_becomes_one_error(tmp_path, monkeypatch, program, match):
    with pytest.raises(RuntimeError, match=f"(?s){match}"):
        _convert(tmp_path, monkeypatch, program)


def test_a_converter_that_hangs_is_stopped(tmp_path, monkeypatch):
    program = "import time; print('busy', flush=True); time.sleep(60)"
    with pytest.raises(
        RuntimeError, match=r"(?s)after 1 seconds. Take.*`timeout`.*busy"
    ):
        _convert(tmp_path, monkeypatch, program, timeout=1.0)


def test_a_refusal_is_worded(tmp_path, monkeypatch):
    report = '{"quantization": "int8", "error": "ConverterError: too odd"}'
    program = (
        "import pathlib; pathlib.Path(job).with_name("
        f"'error.json').write_text('{report}'); sys.exit(1)"
    )
    with pytest.raises(RuntimeError, match=r"refused the student \(int8\)"):
        _convert(tmp_path, monkeypatch, program)


def test_the_tail_leaves_start_up_messages_out():
    output = "I0000 00:00:1 cpu.cc:1] hello\nINFO: made\n\nthe reason\n"
    assert parent._tail(output) == "the reason"


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_a_segfault_of_the_real_export_leaves_nothing(
    tiny, tmp_path, monkeypatch, kind
):
    program = tmp_path / "crashing.py"
    program.write_text("import ctypes\nctypes.string_at(0)\n")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    path = tmp_path / "out" / "x.tflite"
    path.parent.mkdir()
    path.write_bytes(b"the older file")
    x = np.random.default_rng(0).random((20, 3))
    with (
        _another(monkeypatch, program),
        pytest.raises(RuntimeError, match=r"crashed \(SIGSEGV"),
    ):
        export.tflite(tiny, path, kind, calibration=x)
    assert path.read_bytes() == b"the older file"
    assert [p.name for p in path.parent.iterdir()] == ["x.tflite"]
    # Autograph's own module is there until the process ends, once for all.
    left = [p.name for p in scratch.iterdir()]
    assert not [name for name in left if "autograph" not in name]


@pytest.mark.slow
def test_a_file_that_litert_aborts_on_is_an_error(tmp_path):
    """A sum that is 0 in all calibration data has a range of no width."""
    student = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Rescaling(20.0),
            keras.layers.ReLU(6.0),
            keras.layers.Rescaling(20.0, offset=-120.0),
            keras.layers.Dense(3),
        ]
    )
    path = tmp_path / "x.tflite"
    large = np.random.default_rng(0).uniform(1, 2, (20, 4))
    with pytest.raises(RuntimeError, match="LiteRT crashes when it runs the i"):
        export.tflite(student, path, "int8", calibration=large)
    assert not list(tmp_path.iterdir())
    assert export.tflite(student, path, "float32", verify=large).passed
