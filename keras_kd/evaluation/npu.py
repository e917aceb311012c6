"""Compiles a `.tflite` file for an Ethos-U NPU with Vela, Arm's compiler."""

import csv
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import requirement
from keras_kd.core.files import staged
from keras_kd.core.imports import optional
from keras_kd.evaluation.litert import LiteRTModel
from keras_kd.evaluation.tflite_file import read_file

_SUBJECT = "npu.compiled"
_LIMIT_SECONDS = 600.0
# The operator that stands for all that runs on the NPU.
_ON_NPU = "ethos-u"


@dataclass(frozen=True)
class Compiled:
    """A file for an NPU, and what Vela says that it needs.

    Args:
        path: The compiled file, beside the plain one.
        target: The NPU, such as `"ethos-u55-128"`.
        size_bytes: Bytes of the compiled file.
        sram_bytes: Bytes of SRAM that it uses, without TFLite Micro's tables.
        milliseconds: Vela's estimate for one example at `clock_mhz`.
        clock_mhz: The NPU's clock in Vela's configuration of the target.
        npu_share: Share of the plain file's operators that run on the NPU;
            the chip's processor runs the others.
    """

    path: Path
    target: str
    size_bytes: int
    sram_bytes: int
    milliseconds: float
    clock_mhz: float
    npu_share: float


def check_target(subject: str, target: Any) -> None:
    """Check the name of an NPU against Vela's list.

    Raises:
        ImportError: If Vela is not installed.
        ValueError: If Vela does not know the NPU.
    """
    vela = optional("ethosu.vela.architecture_features", "micro", "A `target`")
    check_choice(subject, "target", target, vela.Accelerator.member_list())


def compiled(
    path: str | os.PathLike[str],
    target: str,
    output: str | os.PathLike[str] | None = None,
) -> Compiled:
    """Compile an int8 file for an NPU.

    Args:
        path: A `.tflite` file in int8.
        target: The NPU: `"ethos-u55-128"`, or another that Vela knows; the
            last number is its multiplications a cycle.
        output: The file to write. Defaults to `student.ethos-u55-128.tflite`
            beside `student.tflite`.

    Raises:
        ImportError: If Vela is not installed.
        ValueError: If the NPU is unknown, the file is damaged, or no operator
            of it runs on the NPU.
        RuntimeError: If Vela fails; in its words.

    Example:
    >>> from keras_kd.evaluation import npu
    >>> try:
    ...     npu.compiled("student.tflite", "ethos-u55-129")
    ... except (ImportError, ValueError) as error:
    ...     print("target" in str(error))
    True
    """
    check_target(_SUBJECT, target)
    path = Path(path)
    beside = path.with_name(f"{path.stem}.{target}.tflite")
    written = beside if output is None else Path(output)
    plain = LiteRTModel(path)
    plain.close()
    with tempfile.TemporaryDirectory(prefix="keras_kd_vela_") as name:
        folder = Path(name)
        _run(path, target, folder)
        [made] = folder.glob("*_vela.tflite")
        operators = read_file(made.read_bytes()).operators
        share = 1 - sum(name != _ON_NPU for name in operators) / len(
            plain.operators
        )
        if _ON_NPU not in operators:
            expected = f"a file of which {target} can run something"
            advice = "Export it with quantization='int8'."
            raise ValueError(
                requirement(_SUBJECT, "path", expected, str(path), advice)
            )
        [summary] = folder.glob("*_summary_*.csv")
        with summary.open(encoding="utf-8", newline="") as lines:
            [row] = csv.DictReader(lines)
        with staged(written) as scratch:
            shutil.copyfile(made, scratch)
    return Compiled(
        path=written,
        target=target,
        size_bytes=written.stat().st_size,
        # Vela counts memory in KiB and time in seconds.
        sram_bytes=round(float(row["sram_memory_used"]) * 1024),
        milliseconds=float(row["inference_time"]) * 1e3,
        clock_mhz=float(row["core_clock"]) / 1e6,
        npu_share=share,
    )


def _run(path: Path, target: str, folder: Path) -> None:
    command = [sys.executable, "-m", "ethosu.vela", str(path)]
    command += ["--accelerator-config", target, "--output-dir", str(folder)]
    try:
        done = subprocess.run(
            command,
            check=False,
            timeout=_LIMIT_SECONDS,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(
            f"Vela did not compile `{path}` within {_LIMIT_SECONDS:g} seconds."
        ) from error
    if done.returncode:
        lines = f"{done.stdout}\n{done.stderr}".strip().splitlines()
        last = lines[-1][:300] if lines else f"exit code {done.returncode}"
        raise RuntimeError(f"Vela failed to compile `{path}`: {last}")
