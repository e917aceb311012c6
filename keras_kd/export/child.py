"""A program run with a time limit, whose failures become one sentence."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from keras_kd.export.kinds import CALIBRATED

_LAST_LINES = 12
# Start-up messages of TensorFlow that say nothing about a failure.
_NOISE = re.compile(
    r"^(WARNING: All log|[IW]\d{4} |INFO:|\d{4}-\d\d-\d\d .* I )"
)
_ADVICE = (
    "Try `quantization='float32'` to see whether the quantization is the "
    "cause, and simpler layers where it is not."
)


_MORE_TIME = "Give a larger `timeout`, or fewer calibration examples."
PROGRAM = str(Path(__file__).with_name("convert.py"))


class Running(Protocol):
    """What takes one job after the other (see `Converter`)."""

    def run(
        self, job: Path, *, timeout: float, subject: str
    ) -> tuple[int, str]:
        """Do a job; return its exit code and what was printed."""


def convert_all(
    folder: Path,
    quantizations: Mapping[str, Path],
    calibration: Mapping[str, np.ndarray] | None,
    *,
    timeout: float,
    subject: str,
    converter: Running | None = None,
    uint8: bool = False,
) -> None:
    """Convert a folder's SavedModels in one child process.

    Args:
        folder: A scratch folder that holds `saved_model`, and, where integer
            files are made from another one, `saved_model_integer`.
        quantizations: The file to write by quantization.
        calibration: Examples by input name, for integer files.
        timeout: Seconds that all conversions together may take.
        subject: Who asks, for the error messages.
        converter: The process to use. Defaults to a new one, for this job.
        uint8: Whether integer files take bytes.

    Raises:
        RuntimeError: If the converter refuses the model, crashes, or needs
            more time; says which, and what to try.
    """
    examples = {}
    for i, (name, values) in enumerate((calibration or {}).items()):
        examples[name] = str(folder / f"calibration_{i}.npy")
        np.save(examples[name], values, allow_pickle=False)
    job = folder / "job.json"
    job.write_text(
        json.dumps(
            {
                "saved_models": {
                    key: str(_saved_model(folder, key)) for key in quantizations
                },
                "calibration": examples,
                "uint8": uint8,
                "outputs": {k: str(v) for k, v in quantizations.items()},
            }
        ),
        "utf-8",
    )
    if converter is None:
        # -P: the folder of the program must not shadow other packages.
        command = [sys.executable, "-P", PROGRAM, str(job)]
        code, output = run(command, timeout=timeout, subject=subject)
    else:
        code, output = converter.run(job, timeout=timeout, subject=subject)
    report = folder / "error.json"
    if report.exists():
        failure = json.loads(report.read_text("utf-8"))
        raise RuntimeError(_refusal(subject, **failure))
    if code:
        raise RuntimeError(
            f"`{subject}` failed: the converter {_ending(code)}. {_ADVICE} "
            f"Its last lines:\n{_tail(output)}"
        )


def run(command: list[str], *, timeout: float, subject: str) -> tuple[int, str]:
    """Run a program; return its exit code and all that it printed.

    Args:
        command: The program and its arguments.
        timeout: Seconds after which it is killed.
        subject: Who asks, for the error messages.

    Raises:
        RuntimeError: If it ran longer than `timeout`.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            env=environment(),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        output = (error.output or b"").decode("utf-8", "replace")
        raise too_slow(subject, timeout, output) from error
    return done.returncode, done.stdout.decode("utf-8", "replace")


def environment() -> dict[str, str]:
    """Return the variables that the converter runs with."""
    return os.environ | {
        # What this process can import, however it came by it.
        "PYTHONPATH": os.pathsep.join(sys.path),
        # The parent's TensorFlow may hold all memory of the GPUs.
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def too_slow(
    subject: str, timeout: float, output: str, advice: str = _MORE_TIME
) -> RuntimeError:
    """Return the error for a converter that was stopped."""
    return RuntimeError(
        f"`{subject}` failed: the converter was stopped after "
        f"{timeout:g} seconds. {advice} Its last lines:\n{_tail(output)}"
    )


def _saved_model(folder: Path, quantization: str) -> Path:
    """Return the SavedModel that a file is made from."""
    own = folder / "saved_model_integer"
    if quantization in CALIBRATED and own.exists():
        return own
    return folder / "saved_model"


def _ending(code: int) -> str:
    """Say how a program ended; shells report signals as 128 + number."""
    number = -code if code < 0 else code - 128
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"ended with exit code {code}"
    return f"crashed ({name}, exit code {code})"


def _tail(output: str) -> str:
    """Return the last lines that say something."""
    lines = [line for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if not _NOISE.match(line)]
    return "\n".join(line[:300] for line in telling[-_LAST_LINES:]) or "(none)"


def _refusal(subject: str, quantization: str, error: str | None) -> str:
    """Word what the converter refused; its own text runs to pages."""
    if error is None:
        return (
            f"`{subject}` failed: LiteRT crashes when it runs the "
            f"{quantization} file that the converter made. Try another "
            "`quantization`, and calibration data in which every layer gives "
            "more than one value."
        )
    operators = sorted(set(re.findall(r"'tf\.(\w+)' op", error)))
    if operators:
        return (
            f"`{subject}` failed: the converter has no LiteRT operator for "
            f"TensorFlow's {', '.join(operators)} ({quantization}). Replace "
            "the layers that use them."
        )
    text = " ".join(error.split())
    return (
        f"`{subject}` failed: the converter refused the student "
        f"({quantization}). {_ADVICE} It said: {text[:600]}"
    )
