"""The parent's side of a conversion: writes the student and the job."""

import json
import re
import signal
from collections.abc import Iterable
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_kd.core.imports import optional
from keras_kd.evaluation.tflite_file import with_input_grid
from keras_kd.export.card import add_card
from keras_kd.export.context import Context
from keras_kd.export.conversion.operators import lacking
from keras_kd.export.conversion.precision import float32_arithmetic
from keras_kd.export.conversion.process import converter
from keras_kd.export.conversion.recurrent import check_stateless
from keras_kd.export.conversion.recurrent import check_unrollable
from keras_kd.export.conversion.recurrent import recurrent_layers
from keras_kd.export.conversion.recurrent import unrolled
from keras_kd.export.conversion.repairs import repaired
from keras_kd.export.conversion.trace import write_frozen
from keras_kd.export.kinds import CALIBRATED
from keras_kd.quantization import fixed_ranges
from keras_kd.quantization import has_float_outputs
from keras_kd.quantization import is_quantize_aware

_LAST_LINES = 12
# Start-up messages of TensorFlow, which do not explain a failure.
_NOISE = re.compile(
    r"^(WARNING: All log|[IW]\d{4} |INFO:|\d{4}-\d\d-\d\d .* I )"
)
_ADVICE = (
    "Try `export.tflite` with 'float32' to see whether the quantization is the "
    "cause, and simpler layers where it is not."
)
_TOO_SLOW = (
    "Take simpler layers, a smaller student or fewer calibration examples, "
    "or, where there is one, give a larger `timeout`."
)


def convert_student(
    context: Context,
    files: Mapping[str, Path],
    calibration: Mapping[str, np.ndarray] | None,
    *,
    timeout: float,
) -> None:
    """Write a student's `.tflite` files, without checking them.

    Args:
        context: The student, and what else goes into the files.
        files: Paths to write by quantization, all in one scratch folder.
        calibration: Examples by input name, for integer files.
        timeout: Seconds that all conversions together may take.

    Raises:
        ImportError: If a package of an extra is missing.
        ValueError: If the student cannot be traced, or if integer files are
            asked for and the student has loops that cannot be unrolled.
        RuntimeError: If the converter refuses, crashes or takes too long.
    """
    check_kinds(context, files)
    student = context.student
    files = {context.made_kind(key): path for key, path in files.items()}
    folder = next(iter(files.values())).parent
    if is_quantize_aware(student):
        calibration = None  # the graph contains the ranges
    # The child imports TensorFlow while this process writes the student.
    converter().start()
    with float32_arithmetic(student), fixed_ranges(student):
        _write_saved_models(context, folder, files)
    convert_all(context, folder, files, calibration, timeout)
    grid = context.byte_grid
    if grid is not None and "int8" in files:
        content = files["int8"].read_bytes()
        content = with_input_grid(content, grid.scale, grid.zero_point)
        files["int8"].write_bytes(content)
    for quantization, path in files.items():
        path.write_bytes(repaired(path.read_bytes()))
        add_card(context, path, quantization)


def check_kinds(context: Context, kinds: Iterable[str]) -> None:
    """Check that a student can be converted to some kinds of files.

    Raises:
        ImportError: If a package of an extra is missing.
        ValueError: If a layer is stateful, or if integer files are asked for
            and the student has loops that cannot be unrolled.
    """
    check_stateless(context)
    for quantization in kinds:
        if quantization in CALIBRATED:
            check_unrollable(context, quantization)
    if "int4_weights" in kinds:
        purpose = f"`{context.subject}` with 'int4_weights'"
        optional("ai_edge_quantizer", "quantizer", purpose)


def _write_saved_models(
    context: Context, folder: Path, files: Mapping[str, Path]
) -> None:
    """Write the SavedModels that the files are made from."""
    recurrent = bool(recurrent_layers(context.student))
    # Integer files need a SavedModel of their own if there are loops, which
    # crash the converter, or byte inputs, for which the converter itself adds
    # the conversion.
    own = recurrent or _takes_bytes(context)
    integer = [key for key in files if key in CALIBRATED and own]
    # TFLite Micro resizes no tensor: where the batch is open, it lacks the
    # operators that compute sizes, and a dilated convolution is wrong.
    batch_size = 1 if recurrent or "tflm" in context.runtimes else None
    if len(integer) < len(files):
        _write(context, folder / "saved_model", batch_size)
    if integer:
        with unrolled(context.student):
            real = context.with_real_inputs()
            _write(real, folder / "saved_model_integer", batch_size)


def _takes_bytes(context: Context) -> bool:
    """Tell whether the converter has to add the conversion from bytes."""
    return context.input_dtype == "uint8" or context.byte_grid is not None


def _write(context: Context, path: Path, batch_size: int | None) -> None:
    # The layers in front of the student may compute in float16, too.
    with float32_arithmetic(context.model):
        signature = context.signature.in_float32()
        write_frozen(context, path, signature, batch_size)


def convert_all(
    context: Context,
    folder: Path,
    files: Mapping[str, Path],
    calibration: Mapping[str, np.ndarray] | None,
    timeout: float,
) -> None:
    """Convert the SavedModels of a folder.

    Args:
        context: The input type of the files, and the subject of errors.
        folder: A scratch folder that contains `saved_model` and, if integer
            files are made from another one, `saved_model_integer`.
        files: Paths to write by quantization.
        calibration: Examples by input name, for integer files.
        timeout: Seconds that all conversions together may take.

    Raises:
        RuntimeError: If the converter refuses the model, crashes, or needs
            more time. The message says which, and what to try.
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
                "uint8": _takes_bytes(context),
                "uint8_outputs": context.output_dtype == "uint8",
                "float_outputs": has_float_outputs(context.student),
                "outputs": {key: str(path) for key, path in files.items()},
            }
        ),
        "utf-8",
    )
    code, output = converter().run(job, timeout)
    if code is None:
        raise RuntimeError(
            f"`{context.subject}` failed: the converter was stopped after "
            f"{timeout:g} seconds. {_TOO_SLOW} Its last lines:\n{_tail(output)}"
        )
    report = folder / "error.json"
    if report.exists():
        failure = json.loads(report.read_text("utf-8"))
        raise _refusal(context, **failure)
    if code:
        raise RuntimeError(
            f"`{context.subject}` failed: the converter {_ending(code)}. "
            f"{_ADVICE} Its last lines:\n{_tail(output)}"
        )


def _saved_model(folder: Path, quantization: str) -> Path:
    """Return the SavedModel that a file is made from."""
    own = folder / "saved_model_integer"
    if quantization in CALIBRATED and own.exists():
        return own
    return folder / "saved_model"


def _ending(code: int) -> str:
    """Describe how a process ended; shells report signals as 128 + number."""
    number = -code if code < 0 else code - 128
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"ended with exit code {code}"
    return f"crashed ({name}, exit code {code})"


def _tail(output: str) -> str:
    """Return the last lines that are not start-up messages."""
    lines = [line for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if not _NOISE.match(line)]
    return "\n".join(line[:300] for line in telling[-_LAST_LINES:]) or "(none)"


def _refusal(
    context: Context, quantization: str, error: str | None
) -> RuntimeError:
    """Shorten the converter's error, whose own text runs to pages."""
    if error is None:
        return RuntimeError(
            f"`{context.subject}` failed: LiteRT crashes when it runs the "
            f"{quantization} file that the converter made. Try another "
            "`quantization`, and calibration data in which every layer gives "
            "more than one value."
        )
    operators = dict.fromkeys(re.findall(r"'tf\.(\w+)' op", error), "")
    if operators:
        placed = re.findall(r'"(\w+):", "([^"@]+)@', error)
        nodes = [node for node in placed if node[0] in operators]
        nodes = [*operators.items(), *nodes]
        return lacking(context, "LiteRT operator", nodes)
    found = re.findall(r"not yet supported for op: '(\w+)'", error)
    if found:
        return RuntimeError(
            f"`{context.subject}` failed: the converter has no {quantization} "
            f"form of {', '.join(dict.fromkeys(found))}. Use 'int8', or take "
            "other layers; masks, for example, are comparisons."
        )
    text = " ".join(error.split())
    return RuntimeError(
        f"`{context.subject}` failed: the converter refused the student "
        f"({quantization}). {_ADVICE} It said: {text[:600]}"
    )
