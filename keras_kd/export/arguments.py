"""What `tflite` refuses before the converter is started."""

from pathlib import Path
from typing import Any

from keras_kd.core.checks import check_choice
from keras_kd.core.files import check_writable
from keras_kd.export.context import Context
from keras_kd.export.kinds import CALIBRATED
from keras_kd.export.kinds import QUANTIZATIONS
from keras_kd.quantization import is_quantize_aware


def check_file_name(context: Context, quantization: str, path: Path) -> None:
    """Check that a file of a kind can be written.

    Raises:
        OSError: If its folder cannot be written to.
        ValueError: If the kind is unknown, or the name is another's.
    """
    check_choice(context.subject, "quantization", quantization, QUANTIZATIONS)
    if path.suffix != ".tflite" or path.is_dir():
        expected = "the name of a file that ends in `.tflite`"
        raise context.refusal("path", expected, str(path))
    check_writable(path)


def check_ranges(context: Context, quantization: str, calibration: Any) -> None:
    """Check that the ranges of an integer file come from somewhere.

    Raises:
        ValueError: If they do not, or if what is in front of the student does
            not go with them.
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
    if wrong is not None:
        raise context.refusal(*wrong)


def _of_aware(
    context: Context, quantization: str
) -> tuple[str, str, Any, str] | None:
    """Refuse to drop or to go round what a student was trained with."""
    if quantization != "int8":
        return (
            "quantization",
            f"'int8' for the quantize-aware student `{context.student.name}`",
            quantization,
            "Export the student it was made from for other kinds.",
        )
    if context.preprocess or context.input_dtype:
        return (
            "preprocess",
            "None, and `input_dtype` too, for the quantize-aware student "
            f"`{context.student.name}`, whose input is rounded as in training",
            context.preprocess or context.input_dtype,
            "Put the layers in front before `quantize_aware`.",
        )
    return None
