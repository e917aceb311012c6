"""The kinds of exported files, with the requirements on each."""

from dataclasses import dataclass

_INTEGER_ADVICE = (
    "What usually helps: calibration data preprocessed as in training, more "
    "of it, {next}, or training with `keras_kd.quantization.quantize_aware`."
)
_REAL_ADVICE = "Look for layers that depend on the batch or on chance."


# Users cannot ask for this kind: it replaces "int8" for some students, see
# `Context.made_kind`.
MIXED = "mixed_int8"


@dataclass(frozen=True)
class Kind:
    """Requirements on one kind of file.

    Args:
        tolerance: Largest difference, as a share of the range of the
            student's outputs.
        advice: What to try if a file does not pass.
        rounds: Whether weights or activations are rounded to so few bits
            that classes may change.
        ends: Type that floating-point inputs and all outputs must have in the
            file, None for any. The outputs of `MIXED` may be int8.
    """

    tolerance: float
    advice: str
    rounds: bool = False
    ends: str | None = None


# Sources of error. float32: the order of operations. float16: 11 significant
# bits of the weights. An 8-bit weight is off by up to 1/254 of the largest one
# in its channel, a 4-bit weight by 1/14, an 8-bit activation by 1/510 of its
# range, and the errors of the layers add up.
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
    # int8 behind layers in float32, often with others at the end.
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
# The kinds that `tflite` makes.
QUANTIZATIONS = (
    "float32",
    "float16",
    "dynamic_range",
    "int8",
    "int16x8",
    "int4_weights",
)
# The kinds that compute in integers, with ranges from calibration data.
CALIBRATED = tuple(name for name in QUANTIZATIONS if KINDS[name].ends)
# Smallest share of equal classes for a file that rounds, on real data.
MIN_AGREEMENT = 0.8
# Smallest mean cosine between the embeddings of such a file and the student.
MIN_COSINE = 0.98


@dataclass(frozen=True)
class Demands:
    """Requirements on one file.

    Args:
        tolerance: See `keras_kd.export.verify`; `None` for the default.
        max_accuracy_loss: See `keras_kd.export.verify`.
        quantization: Kind that the file must have; `None` for any.
    """

    tolerance: float | None = None
    max_accuracy_loss: float | None = None
    quantization: str | None = None
