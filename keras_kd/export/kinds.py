"""The kinds of exported files, and what is demanded of each."""

from dataclasses import dataclass

import keras

from keras_kd.quantization import has_float_ends

_INTEGER_ADVICE = (
    "What usually helps: calibration data preprocessed as in training, more "
    "of it, {next}, or training with `keras_kd.quantization.quantize_aware`."
)
_REAL_ADVICE = "Look for layers that depend on the batch or on chance."


# Not one to ask for: what "int8" means for some students, see `made_kind`.
MIXED = "mixed_int8"


@dataclass(frozen=True)
class Kind:
    """What is demanded of one kind of file.

    Args:
        tolerance: Largest difference, as a share of the range of the
            student's outputs.
        advice: What to try where a file does not pass.
        rounds: Whether weights or activations are rounded to so few bits
            that classes may change.
        ends: Type that real inputs and outputs must have, if it matters.
    """

    tolerance: float
    advice: str
    rounds: bool = False
    ends: str | None = None


# float32: the same arithmetic in another order. float16: weights carry 11
# bits. 8-bit weights carry 1/254 of their channel's largest, 4-bit ones
# 1/14, 8-bit activations 1/510 of their range, and each layer adds its own.
KINDS = {
    "saved_model": Kind(1e-4, _REAL_ADVICE),
    "onnx": Kind(1e-4, _REAL_ADVICE),
    "float32": Kind(1e-4, _REAL_ADVICE),
    "float16": Kind(1e-2, "Use 'float32'."),
    "dynamic_range": Kind(
        0.1, "Use 'float16', or 'int8' with calibration data.", rounds=True
    ),
    "int8": Kind(
        0.2,
        _INTEGER_ADVICE.format(next="'int16x8'"),
        rounds=True,
        ends="int8",
    ),
    # int8 between a first and a last layer in float32.
    MIXED: Kind(
        0.2,
        _INTEGER_ADVICE.format(next="'float16'"),
        rounds=True,
        ends="float32",
    ),
    "int16x8": Kind(
        0.1,
        _INTEGER_ADVICE.format(next="'float16'"),
        rounds=True,
        ends="int16",
    ),
    "int4_weights": Kind(
        0.4, "Use 'dynamic_range', which has 8-bit weights.", rounds=True
    ),
}
# What `tflite` makes.
QUANTIZATIONS = (
    "float32",
    "float16",
    "dynamic_range",
    "int8",
    "int16x8",
    "int4_weights",
)
# Those that compute in whole numbers, with ranges from calibration data.
CALIBRATED = tuple(name for name in QUANTIZATIONS if KINDS[name].ends)
# Least share of equal classes where a file that rounds meets real data.
MIN_AGREEMENT = 0.8


@dataclass(frozen=True)
class Demands:
    """What one file has to fulfil.

    Args:
        tolerance: See `keras_kd.export.verify`; `None` for the kind's own.
        max_accuracy_loss: See `keras_kd.export.verify`.
        quantization: What the file must turn out to be; `None` for any.
    """

    tolerance: float | None = None
    max_accuracy_loss: float | None = None
    quantization: str | None = None


def made_kind(student: keras.Model, quantization: str) -> str:
    """Return the kind of file that a student becomes.

    Args:
        student: The model.
        quantization: What was asked for.

    Returns:
        `quantization`, but `MIXED` instead of `"int8"` for a student whose
        first and last layers were asked to stay in float32.
    """
    mixed = quantization == "int8" and has_float_ends(student)
    return MIXED if mixed else quantization
