"""From a student to unchecked `.tflite` files: the one way there is."""

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from keras_kd.core.checks import requirement
from keras_kd.export.child import Running
from keras_kd.export.child import convert_all
from keras_kd.export.precision import float32_arithmetic
from keras_kd.export.saved_model import write_saved_model
from keras_kd.export.signature import read_signature


def convert_student(
    student: keras.Model,
    files: Mapping[str, Path],
    calibration: Mapping[str, np.ndarray] | None,
    *,
    timeout: float,
    subject: str,
    converter: Running | None = None,
) -> None:
    """Write a student's `.tflite` files; nobody has looked at them yet.

    Args:
        student: A built model.
        files: The file to write by quantization, all in one scratch folder.
        calibration: Examples by input name, for `"int8"`.
        timeout: Seconds that the conversions together may take.
        subject: Who asks, for the error messages.
        converter: The process to use. Defaults to a new one.

    Raises:
        ValueError: If the student cannot be traced, or has recurrent layers
            and `"int8"` is asked for.
        RuntimeError: If the converter refuses, crashes or takes too long.
    """
    recurrent = recurrent_layers(student)
    if "int8" in files:
        refuse_recurrent(recurrent, subject)
    folder = next(iter(files.values())).parent
    with float32_arithmetic(student):
        write_saved_model(
            student,
            folder / "saved_model",
            read_signature(student, subject),
            1 if recurrent else None,
            subject,
        )
    convert_all(
        folder,
        files,
        calibration,
        timeout=timeout,
        subject=subject,
        converter=converter,
    )


def recurrent_layers(student: keras.Model) -> list[str]:
    """Name the recurrent layers that become loops in the file."""
    return [
        layer.name
        for layer in student._flatten_layers()
        if isinstance(layer, keras.layers.RNN)
        and not getattr(layer, "unroll", False)
    ]


def refuse_recurrent(recurrent: list[str], subject: str) -> None:
    """Refuse what makes the converter crash with `"int8"`.

    Raises:
        ValueError: If there are any such layers.
    """
    if recurrent:
        raise ValueError(
            requirement(
                subject,
                "quantization",
                "a float kind for recurrent layers",
                "int8",
                f"The converter crashes on {', '.join(recurrent)}: use "
                "'float16', or build these layers with `unroll=True`.",
            )
        )
