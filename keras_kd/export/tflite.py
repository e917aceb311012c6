"""Export to the LiteRT (`.tflite`) format."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement
from keras_kd.core.files import check_writable
from keras_kd.core.files import staged
from keras_kd.export.check_file import check_file
from keras_kd.export.check_file import check_tolerance
from keras_kd.export.child import convert_all
from keras_kd.export.examples import calibration_examples
from keras_kd.export.examples import verification_examples
from keras_kd.export.precision import float32_arithmetic
from keras_kd.export.saved_model import write_saved_model
from keras_kd.export.signature import exportable
from keras_kd.export.signature import read_signature
from keras_kd.export.verification import Verification
from keras_kd.quantization import fixed_ranges
from keras_kd.quantization import is_quantize_aware

_SUBJECT = "export.tflite"
_QUANTIZATIONS = ("float32", "float16", "dynamic_range", "int8")
_LATER = ("int16x8", "int4_weights")


def tflite(
    student: Any,
    path: str | os.PathLike[str],
    quantization: str | None = None,
    calibration: Any = None,
    verify: Any = None,
    tolerance: float | None = None,
    *,
    timeout: float = 600,
) -> Verification:
    """Export a student as a `.tflite` file that is proved to behave alike.

    The file gets its name only after the LiteRT runtime loaded it, its types
    were found to be the ones asked for, and its outputs were compared with
    the student's; until then an older file of that name stays as it is. The
    conversion runs in a process of its own, so that a converter that crashes
    takes nothing with it; starting it costs some 4 seconds
    (`tflite_files` shares them among several files).

    `"float16"` halves the file; `"dynamic_range"` quarters it (8-bit weights,
    float arithmetic); `"int8"` quarters it and computes in whole numbers, as
    microcontrollers and NPUs need, with 8-bit inputs and outputs.

    Args:
        student: A built `keras.Model`, or a `keras_kd.Distiller`, whose
            student is exported. One that computes in float16 or bfloat16 is
            exported in float32. One with recurrent layers that are not
            unrolled gets a batch size of 1.
        path: The file to write, ending in `.tflite`.
        quantization: `None` or `"float32"`, `"float16"`, `"dynamic_range"`
            or `"int8"`.
        calibration: Data that `"int8"` takes its ranges from, in any form
            that `fit` takes: preprocessed as in training, at least 10
            examples; the first 200 are used. A quantize-aware student
            brings its ranges, and is only compared on it.
        verify: Data to compare on, in the same forms. Defaults to
            `calibration`, then to 256 random inputs from a fixed seed.
            `False` compares nothing, which the result says: `passed` is
            False. Types and operators are checked all the same.
        tolerance: Largest difference, as a share of the range of the
            student's outputs. Defaults to a value for each quantization
            (see `verify`).
        timeout: Seconds that the conversion may take. Defaults to 600.

    Returns:
        The `Verification` of the file.

    Raises:
        TypeError: If `student` is not a Keras model.
        ValueError: If an argument is wrong: an unbuilt student, no or bad
            calibration data, recurrent layers with `"int8"`.
        OSError: If `path` cannot be written to.
        RuntimeError: If the converter refuses, crashes or takes too long.
        ExportMismatchError: If the file is not what was asked for or does
            not behave like the student.

    Example:
    >>> import keras, keras_kd
    >>> student = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> try:
    ...     keras_kd.export.tflite(student, "student.tflite", "int8")
    ... except ValueError as error:
    ...     print(str(error).count("calibration"))
    3
    """
    key = "float32" if quantization is None else quantization
    return tflite_files(
        student,
        {key: path},
        calibration,
        verify,
        {key: tolerance},
        timeout=timeout,
    )[key]


def tflite_files(
    student: Any,
    paths: Mapping[str, str | os.PathLike[str]],
    calibration: Any = None,
    verify: Any = None,
    tolerance: Mapping[str, float | None] | None = None,
    *,
    timeout: float = 600,
) -> dict[str, Verification]:
    """Export a student as several `.tflite` files in one child process.

    Each file is what `tflite` makes; the process starts once, which saves
    some 4 seconds a file. Files are checked and named one after the other,
    so that those before a failing one stay.

    Args:
        student: See `tflite`.
        paths: The file to write by quantization.
        calibration: See `tflite`.
        verify: See `tflite`.
        tolerance: See `tflite`; by quantization.
        timeout: Seconds that all conversions together may take. Defaults to
            600.

    Returns:
        One `Verification` a file, by quantization.

    Raises:
        TypeError: See `tflite`.
        ValueError: See `tflite`.
        OSError: See `tflite`.
        RuntimeError: See `tflite`.
        ExportMismatchError: See `tflite`.

    Example:
    >>> import keras, keras_kd
    >>> student = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> len(keras_kd.export.tflite_files(student, {}))
    0
    """
    student = exportable(student)
    signature = read_signature(student, _SUBJECT)
    check_number(_SUBJECT, "timeout", timeout, above=0)
    recurrent = _recurrent(student)
    aware = is_quantize_aware(student)
    for quantization, path in paths.items():
        _check(quantization, Path(path))
        if aware:
            _check_aware(quantization, student)
        elif quantization == "int8":
            _check_calibrated(quantization, recurrent, calibration)
        check_tolerance((tolerance or {}).get(quantization), _SUBJECT)
    examples = None
    if calibration is not None:
        examples = calibration_examples(calibration, signature, _SUBJECT)
    compared = verification_examples(verify, signature, _SUBJECT)
    if compared is None:
        compared = examples
    if not paths:
        return {}
    with tempfile.TemporaryDirectory(prefix="keras_kd_export_") as name:
        folder = Path(name)
        with float32_arithmetic(student), fixed_ranges(student):
            write_saved_model(
                student,
                folder / "saved_model",
                signature,
                1 if recurrent else None,
                _SUBJECT,
            )
        made = {key: folder / f"{key}.tflite" for key in paths}
        ranges = None if aware else examples
        convert_all(folder, made, ranges, timeout=timeout, subject=_SUBJECT)
        results = {}
        for key, path in paths.items():
            with staged(path) as scratch:
                shutil.copyfile(made[key], scratch)
                result = check_file(
                    scratch,
                    student,
                    compared,
                    tolerance=(tolerance or {}).get(key),
                    quantization=key,
                    subject=_SUBJECT,
                )
            results[key] = replace(result, path=str(path))
    return results


def _check(quantization: str, path: Path) -> None:
    """Check what can be checked before the converter is started."""
    if quantization in _LATER:
        expected = f"one of {', '.join(map(repr, _QUANTIZATIONS))}"
        advice = "It is planned, and not there yet."
        raise ValueError(
            requirement(
                _SUBJECT, "quantization", expected, quantization, advice
            )
        )
    check_choice(_SUBJECT, "quantization", quantization, _QUANTIZATIONS)
    if path.suffix != ".tflite" or path.is_dir():
        expected = "the name of a file that ends in `.tflite`"
        raise ValueError(requirement(_SUBJECT, "path", expected, str(path)))
    check_writable(path)


def _check_aware(quantization: str, student: keras.Model) -> None:
    """Refuse to drop the rounding that a student was trained with."""
    if quantization != "int8":
        raise ValueError(
            requirement(
                _SUBJECT,
                "quantization",
                f"'int8' for the quantize-aware student `{student.name}`",
                quantization,
                "Export the student it was made from for other kinds.",
            )
        )


def _check_calibrated(
    quantization: str, recurrent: list[str], calibration: Any
) -> None:
    """Check what int8 needs of a student that brings no ranges."""
    if calibration is None:
        raise ValueError(
            requirement(
                _SUBJECT,
                "calibration",
                "a dataset for 'int8'",
                None,
                "Pass `calibration=` some 200 training examples.",
            )
        )
    if recurrent:
        raise ValueError(
            requirement(
                _SUBJECT,
                "quantization",
                "a float kind for recurrent layers",
                quantization,
                f"The converter crashes on {', '.join(recurrent)}: use "
                "'float16', or build these layers with `unroll=True`.",
            )
        )


def _recurrent(student: keras.Model) -> list[str]:
    """Name the recurrent layers that become loops in the file."""
    return [
        layer.name
        for layer in student._flatten_layers()
        if isinstance(layer, keras.layers.RNN)
        and not getattr(layer, "unroll", False)
    ]
