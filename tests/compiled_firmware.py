"""Compiles a bundle for a microcontroller on this machine, and runs it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from keras_kd.export.firmware import c_text

# Stand-ins for the headers of TensorFlow Lite Micro, and a program.
_TFLM = Path(__file__).parent / "export" / "tflm"


def compiled(folder, scratch, second_label=None):
    """Compile a bundle and its README's code, every warning an error.

    Args:
        folder: The bundle.
        scratch: A folder to compile in.
        second_label: Name in C++ that class 1 should have; None for a bundle
            without labels.

    Returns:
        The program.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed")
    readme = (folder / "README.md").read_text("utf-8")
    [start] = re.findall("```cpp\n(.*?)```", readme, re.S)
    (scratch / "start.cc").write_text(f"int Start();\n{start}")
    defined = [f"-DNAMESPACE={c_text.namespace(folder.name)}"]
    if second_label is not None:
        defined.append(f"-DSECOND={second_label}")
    program = scratch / "program"
    subprocess.run(
        [
            *(compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror"),
            *("-I", _TFLM, "-I", folder, "-I", folder.parent),
            *(*defined, "-o", program),
            *(_TFLM / "program.cc", scratch / "start.cc"),
            *sorted(folder.glob("*.cc")),
        ],
        check=True,
    )
    return program


def run_firmware(program, given, expected):
    """Run a program of `compiled`, on a chip that gives `expected`.

    Args:
        program: The program.
        given: Bytes of the inputs of each example that the chip knows.
        expected: Bytes of the outputs of each.

    Returns:
        What the program printed, as a dict of lists; and the bytes of its
        `kModel`.
    """
    answers, model = program.with_name("answers"), program.with_name("model")
    examples = zip(given, expected, strict=True)
    answers.write_bytes(b"".join(map(b"".join, examples)))
    printed = subprocess.run(
        [program, answers, model], check=True, capture_output=True, text=True
    ).stdout
    found = {}
    for line in printed.splitlines():
        key, _, value = line.partition("=")
        found.setdefault(key, []).append(value.strip())
    return found, model.read_bytes()
