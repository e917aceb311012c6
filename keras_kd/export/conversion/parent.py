"""What runs here: the student is written, and the process is told."""

import contextlib
import json
import re
import signal
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from keras_kd.core.imports import optional
from keras_kd.export.card import add_card
from keras_kd.export.contents import Contents
from keras_kd.export.conversion.precision import float32_arithmetic
from keras_kd.export.conversion.process import Converter
from keras_kd.export.conversion.recurrent import check_unrollable
from keras_kd.export.conversion.recurrent import recurrent_layers
from keras_kd.export.conversion.recurrent import unrolled
from keras_kd.export.conversion.trace import write_frozen
from keras_kd.export.kinds import CALIBRATED
from keras_kd.export.kinds import made_kind
from keras_kd.export.signature import read_signature
from keras_kd.quantization import fixed_ranges
from keras_kd.quantization import is_quantize_aware

_NOTHING = Contents()
_LAST_LINES = 12
# Start-up messages of TensorFlow that say nothing about a failure.
_NOISE = re.compile(
    r"^(WARNING: All log|[IW]\d{4} |INFO:|\d{4}-\d\d-\d\d .* I )"
)
_ADVICE = (
    "Try `quantization='float32'` to see whether the quantization is the "
    "cause, and simpler layers where it is not."
)
_TOO_SLOW = (
    "Take simpler layers, a smaller student or fewer calibration examples, "
    "or, where there is one, give a larger `timeout`."
)


def convert_student(
    student: keras.Model,
    files: Mapping[str, Path],
    calibration: Mapping[str, np.ndarray] | None,
    *,
    timeout: float,
    subject: str,
    converter: Converter | None = None,
    contents: Contents = _NOTHING,
) -> None:
    """Write a student's `.tflite` files; nobody has looked at them yet.

    Args:
        student: A built model.
        files: The file to write by quantization, all in one scratch folder.
        calibration: Examples by input name, for integer files.
        timeout: Seconds that the conversions together may take.
        subject: Who asks, for the error messages.
        converter: The process to use. Defaults to a new one.
        contents: What goes into the files besides the student.

    Raises:
        ImportError: If a package of an extra is missing.
        ValueError: If the student cannot be traced, or if integer files are
            asked for and it has loops that cannot be unrolled.
        RuntimeError: If the converter refuses, crashes or takes too long.
    """
    check_kinds(student, files, subject)
    files = {made_kind(student, key): path for key, path in files.items()}
    folder = next(iter(files.values())).parent
    if is_quantize_aware(student):
        calibration = None  # the graph holds the ranges
    own = (
        Converter() if converter is None else contextlib.nullcontext(converter)
    )
    with own as used:
        # It imports TensorFlow while the student is written here.
        used.start()
        with float32_arithmetic(student), fixed_ranges(student):
            _write_saved_models(student, folder, files, contents, subject)
        convert_all(
            folder,
            files,
            calibration,
            timeout=timeout,
            subject=subject,
            converter=used,
            uint8=contents.input_dtype == "uint8",
        )
    for quantization, path in files.items():
        add_card(path, student, quantization, contents)


def check_kinds(
    student: keras.Model, kinds: Mapping[str, object], subject: str
) -> None:
    """Check that a student's files of some kinds can be made here.

    Raises:
        ImportError: If a package of an extra is missing.
        ValueError: If integer files are asked for and the student has loops
            that cannot be unrolled.
    """
    for quantization in kinds:
        if quantization in CALIBRATED:
            check_unrollable(student, quantization, subject)
    if "int4_weights" in kinds:
        purpose = f"`{subject}` with 'int4_weights'"
        optional("ai_edge_quantizer", "quantizer", purpose)


def _write_saved_models(
    student: keras.Model,
    folder: Path,
    files: Mapping[str, Path],
    contents: Contents,
    subject: str,
) -> None:
    """Write the SavedModels that the files are made from."""
    recurrent = bool(recurrent_layers(student))
    # A quantized loop crashes the converter, and it puts bytes in itself.
    own = recurrent or contents.input_dtype == "uint8"
    integer = [key for key in files if key in CALIBRATED and own]
    batch_size = 1 if recurrent else None
    if len(integer) < len(files):
        _write(
            contents.front(student), folder / "saved_model", batch_size, subject
        )
    if integer:
        model = contents.front(student, real_inputs=True)
        with unrolled(student):
            _write(model, folder / "saved_model_integer", batch_size, subject)


def _write(
    model: keras.Model, path: Path, batch_size: int | None, subject: str
) -> None:
    # What is in front of the student may compute in float16, too.
    with float32_arithmetic(model):
        signature = read_signature(model, subject).in_float32()
        write_frozen(model, path, signature, batch_size, subject)


def convert_all(
    folder: Path,
    files: Mapping[str, Path],
    calibration: Mapping[str, np.ndarray] | None,
    *,
    timeout: float,
    subject: str,
    converter: Converter,
    uint8: bool = False,
) -> None:
    """Convert the SavedModels of a folder.

    Args:
        folder: A scratch folder that holds `saved_model`, and, where integer
            files are made from another one, `saved_model_integer`.
        files: The file to write by quantization.
        calibration: Examples by input name, for integer files.
        timeout: Seconds that all conversions together may take.
        subject: Who asks, for the error messages.
        converter: The process to use.
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
                    key: str(_saved_model(folder, key)) for key in files
                },
                "calibration": examples,
                "uint8": uint8,
                "outputs": {key: str(path) for key, path in files.items()},
            }
        ),
        "utf-8",
    )
    code, output = converter.run(job, timeout)
    if code is None:
        raise RuntimeError(
            f"`{subject}` failed: the converter was stopped after "
            f"{timeout:g} seconds. {_TOO_SLOW} Its last lines:\n{_tail(output)}"
        )
    report = folder / "error.json"
    if report.exists():
        failure = json.loads(report.read_text("utf-8"))
        raise RuntimeError(_refusal(subject, **failure))
    if code:
        raise RuntimeError(
            f"`{subject}` failed: the converter {_ending(code)}. {_ADVICE} "
            f"Its last lines:\n{_tail(output)}"
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
