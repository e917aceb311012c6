"""What the converter made, opened, with the types that were asked for."""

from pathlib import Path

import keras

from keras_kd.core.errors import ExportMismatchError
from keras_kd.export.kinds import KINDS
from keras_kd.export.kinds import MIXED
from keras_kd.export.opened import OpenedFile
from keras_kd.export.opened import open_file
from keras_kd.export.signature import Signature
from keras_kd.quantization import num_float_weights

_ADVICE = {
    "dynamic_range": "Layers of fewer than 1,024 weights stay float, and this "
    "student has no larger one. Use 'float16' or 'int8'.",
    "int4_weights": "This student has no layer whose weights the quantizer "
    "can round. Use 'dynamic_range'.",
    "int8": "Check the calibration data.",
    "int16x8": "Check the calibration data.",
    MIXED: "Use `first_last='int8'`.",
}


def open_converted(
    path: Path, signature: Signature, quantization: str, subject: str
) -> OpenedFile:
    """Open what the converter made, and check that it did what was asked.

    Args:
        path: The file.
        signature: The inputs it must have.
        quantization: What it must be.
        subject: Who asks, for the error messages.

    Raises:
        ExportMismatchError: If it does not load or is something else: the
            converter is silent about that.
    """
    try:
        file = open_file(path, subject)
    except ValueError as error:
        raise ExportMismatchError(
            f"`{subject}`: the converter made a {quantization} file that the "
            f"LiteRT runtime refuses. {error}"
        ) from error
    if file.kind != quantization:
        weights = ", ".join(f"{n} {k}" for k, n in file.weight_dtypes.items())
        raise ExportMismatchError(
            f"`{subject}` asked for {quantization} and the converter made a "
            f"{file.kind} file (weights: {weights or 'none'}). "
            f"{_ADVICE.get(quantization, '')}"
        )
    if quantization == "int4_weights":
        _check_four_bits(file, subject)
    wanted = KINDS[quantization].ends
    if wanted is not None:
        _check_ends(file, signature, wanted, subject)
    return file


def check_floats(file: OpenedFile, student: keras.Model, subject: str) -> None:
    """Check that a mixed file has the student's float layers in float32.

    The converter makes int8 of any layer between known ranges.

    Raises:
        ExportMismatchError: If it has fewer float weights than they.
    """
    expected = num_float_weights(student)
    found = file.weight_dtypes.get("float32", 0)
    if found < expected:
        raise ExportMismatchError(
            f"`{subject}`: {expected:,} weights of `{student.name}` were to "
            f"stay in float32, and the converter left {found:,}. "
            f"{_ADVICE[MIXED]}"
        )


def _check_four_bits(file: OpenedFile, subject: str) -> None:
    """Check that most weights have 4 bits."""
    counts = file.weight_dtypes
    total, found = sum(counts.values()), counts.get("int4", 0)
    if found < total / 2:
        raise ExportMismatchError(
            f"`{subject}` asked for int4_weights, and the quantizer rounded "
            f"{found:,} of {total:,} weights to 4 bits; "
            f"{counts.get('int8', 0):,} have 8 and "
            f"{counts.get('float32', 0):,} are float32: it has no 4-bit "
            "depthwise kernels and embeddings. Use 'dynamic_range', which "
            "rounds all to 8 bits."
        )


def _check_ends(
    file: OpenedFile, signature: Signature, wanted: str, subject: str
) -> None:
    """Check the type of real inputs and of all outputs."""
    real = {spec.name for spec in signature.specs if "float" in spec.dtype}
    ends = [dtype for name, dtype in file.inputs.items() if name in real]
    ends += file.outputs.values()
    if set(ends) != {wanted}:
        raise ExportMismatchError(
            f"`{subject}` asked for {file.kind} and the converter made a file "
            f"whose inputs and outputs are {', '.join(ends)}. Use "
            "'dynamic_range'."
        )
