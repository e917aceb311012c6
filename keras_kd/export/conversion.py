"""From a student to unchecked `.tflite` files: the one way there is."""

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from keras_kd.core.imports import optional
from keras_kd.export.card import add_card
from keras_kd.export.child import Running
from keras_kd.export.child import convert_all
from keras_kd.export.contents import Contents
from keras_kd.export.kinds import CALIBRATED
from keras_kd.export.kinds import made_kind
from keras_kd.export.precision import float32_arithmetic
from keras_kd.export.recurrent import check_unrollable
from keras_kd.export.recurrent import recurrent_layers
from keras_kd.export.recurrent import unrolled
from keras_kd.export.signature import read_signature
from keras_kd.export.trace import write_frozen
from keras_kd.quantization import fixed_ranges
from keras_kd.quantization import is_quantize_aware

_NOTHING = Contents()


def convert_student(
    student: keras.Model,
    files: Mapping[str, Path],
    calibration: Mapping[str, np.ndarray] | None,
    *,
    timeout: float,
    subject: str,
    converter: Running | None = None,
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
    with float32_arithmetic(student), fixed_ranges(student):
        _write_saved_models(student, folder, files, contents, subject)
    convert_all(
        folder,
        files,
        calibration,
        timeout=timeout,
        subject=subject,
        converter=converter,
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
