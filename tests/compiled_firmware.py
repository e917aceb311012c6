"""Compiles a bundle for a microcontroller on this machine, and runs it."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
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


def reference_answers(folder, examples):
    """Run examples of a bundle in LiteRT's reference kernels.

    TensorFlow Lite Micro gives the same bytes or, behind dense layers, some
    that are a step away.

    Args:
        folder: The bundle. Values become int8 by the grids in its header.
        examples: Real values by the name of the input.

    Returns:
        The bytes of each example's inputs, and of its outputs.
    """
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_litert.interpreter import OpResolverType

    runtime = Interpreter(
        str(folder / "model.tflite"),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
    )
    runtime.allocate_tensors()
    header = (folder / "model_info.h").read_text("utf-8")
    [body] = re.findall(r"kInputs\[\] = {\n(.*?)\n};", header, re.S)
    entries = re.findall(r'{"(\w+)", "int8", \d, {.*?}, (.*?)f, (.*?)}', body)
    stored = [
        np.clip(np.rint(examples[name] / float(scale)) + int(zero), -128, 127)
        for name, scale, zero in entries
    ]
    given, expected = [], []
    for values in zip(*stored, strict=True):
        ends = runtime.get_input_details()
        rows = [value[None].astype("int8") for value in values]
        for end, row in zip(ends, rows, strict=True):
            runtime.set_tensor(end["index"], row)
        runtime.invoke()
        outputs = [
            runtime.get_tensor(end["index"])
            for end in runtime.get_output_details()
        ]
        given.append(b"".join(row.tobytes() for row in rows))
        expected.append(b"".join(row.tobytes() for row in outputs))
    return given, expected


def largest_difference(found):
    """Return by how many steps int8 outputs differed in a program's check."""
    lines = "\n".join(found)
    pairs = re.findall(r": (\d+) instead of (\d+)\.", lines)
    assert len(pairs) == int(found["differing"][0])
    steps = [(int(a) - int(b) + 128) % 256 - 128 for a, b in pairs]
    return max(map(abs, steps), default=0)
