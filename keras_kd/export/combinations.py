"""Checks that a kind of file goes with the student and what is around it."""

import warnings
from typing import Any

from keras_kd.export.context import Context
from keras_kd.export.kinds import CALIBRATED
from keras_kd.quantization import has_float_outputs
from keras_kd.quantization import is_quantize_aware


def check_combination(
    context: Context, quantization: str, calibration: Any
) -> None:
    """Check that a kind of file can be made from what is given.

    Args:
        context: The student, and what else goes into the file.
        quantization: Kind of the file.
        calibration: The user's `calibration`.

    Raises:
        ValueError: If an integer file has no source for its ranges, or if
            the student, `input_dtype` or `output_dtype` do not go with it.
    """
    wrong = None
    if is_quantize_aware(context.student):
        wrong = _of_aware(context, quantization)
    elif quantization in CALIBRATED and calibration is None:
        wrong = (
            "calibration",
            f"a dataset for {quantization!r}",
            None,
            "Pass `calibration=` some 200 training examples.",
        )
    elif quantization == "int16x8" and context.input_dtype == "uint8":
        wrong = (
            "input_dtype",
            "None for 'int16x8', whose inputs are int16",
            context.input_dtype,
            "The converter has no step from bytes to 16 bits.",
        )
    if wrong is None and context.output_dtype is not None:
        wrong = _of_byte_outputs(context, quantization)
    if wrong is not None:
        raise context.refusal(*wrong)


def _of_byte_outputs(
    context: Context, quantization: str
) -> tuple[str, str, Any, str] | None:
    """Return what is wrong with an export whose outputs are to be bytes."""
    if quantization == "int8" and not has_float_outputs(context.student):
        return None
    return (
        "output_dtype",
        "None for a file whose outputs are not int8",
        context.output_dtype,
        "Take 'int8', and layers that all are quantized.",
    )


def warn_of_floats(context: Context) -> None:
    """Warn if the layers in front of an int8 student stay in float32."""
    if not context.has_float_front:
        return
    warnings.warn(
        f"`{context.subject}`: what is in front of the quantize-aware student "
        f"`{context.student.name}` stays in float32 in the file. It needs no "
        "operator only in a file of bytes (`input_dtype='uint8'`) and if it is "
        "one scale and offset, as of `keras.layers.Rescaling`. Other layers "
        "compute in int8 if the student has them before `quantize_aware`.",
        stacklevel=4,
    )


def _of_aware(
    context: Context, quantization: str
) -> tuple[str, str, Any, str] | None:
    """Return what is wrong with the export of a quantize-aware student."""
    if quantization != "int8":
        return (
            "quantization",
            f"'int8' for the quantize-aware student `{context.student.name}`",
            quantization,
            "Export the student it was made from for other kinds.",
        )
    return None
