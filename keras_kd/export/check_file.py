"""The checks that a file passes before it gets its name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_kd.core.checks import check_number
from keras_kd.core.errors import ExportMismatchError
from keras_kd.core.files import size_bytes
from keras_kd.export.comparison import Tally
from keras_kd.export.comparison import compare
from keras_kd.export.examples import NUM_EXAMPLES
from keras_kd.export.examples import collect
from keras_kd.export.examples import random_examples
from keras_kd.export.opened import OpenedFile
from keras_kd.export.opened import open_file
from keras_kd.export.precision import is_mixed
from keras_kd.export.signature import Signature
from keras_kd.export.signature import read_signature
from keras_kd.export.verification import Verification

# Largest difference as a share of the range of the student's outputs.
# float32: the same arithmetic in another order. float16: weights carry 11
# bits. 8-bit weights carry 1/254 of their channel's largest, 8-bit
# activations 1/510 of their range, and each layer adds its own.
_TOLERANCES = {
    "saved_model": 1e-4,
    "float32": 1e-4,
    "float16": 1e-2,
    "dynamic_range": 0.1,
    "int8": 0.2,
}
# A student that computes in bfloat16 (8 bits) rounds as much by itself.
_MIXED_TOLERANCE = 5e-2
# Least share of equal classes where 8-bit files are compared on real data.
_MIN_AGREEMENT = 0.8

_ADVICE = {
    "saved_model": "Look for layers that depend on the batch or on chance.",
    "float32": "Look for layers that depend on the batch or on chance.",
    "float16": "Use 'float32'.",
    "dynamic_range": "Use 'float16', or 'int8' with calibration data.",
    "int8": "Calibrate on more data, preprocessed as in training, or use "
    "'dynamic_range'.",
}


def check_file(
    path: Path,
    student: Any,
    dataset: Any,
    *,
    tolerance: float | None,
    subject: str,
    num_examples: int = NUM_EXAMPLES,
    quantization: str | None = None,
) -> Verification:
    """Check a file's types where `quantization` is given, then its outputs.

    Args:
        path: The file or folder.
        student: The model.
        dataset: See `keras_kd.export.verify`; `None` for random inputs,
            `False` to compare nothing.
        tolerance: See `keras_kd.export.verify`.
        subject: Who asks, for the error messages.
        num_examples: See `keras_kd.export.verify`.
        quantization: What the file must turn out to be.

    Raises:
        ValueError: If the file is damaged or the data does not fit.
        ExportMismatchError: If the file does not pass.
    """
    signature = read_signature(student, subject)
    check_tolerance(tolerance, subject)
    if quantization is None:
        file = open_file(path, subject)
    else:
        file = _open_converted(path, signature, quantization, subject)
    share = _default(file, student) if tolerance is None else tolerance
    if dataset is False:
        return _summary(path, file, 0, {}, share)
    examples = _examples(student, signature, dataset, num_examples, subject)
    try:
        tallies = compare(student, file.predict, signature, examples)
    except (RuntimeError, ValueError) as error:
        raise ExportMismatchError(
            f"`{subject}`: the {file.kind} file cannot do what the student "
            f"does: {error}"
        ) from error
    count = len(next(iter(examples.values())))
    result = _summary(path, file, count, tallies, share)
    problem = _too_different(file, tallies, share)
    if not problem and dataset is not None and tolerance is None:
        problem = _too_many_changed(result)
    if problem:
        raise _mismatch(subject, result, problem)
    return replace(result, passed=True)


def check_tolerance(tolerance: float | None, subject: str) -> None:
    """Check a tolerance, before anything is converted.

    Raises:
        TypeError: If it is not a number.
        ValueError: If it is not above 0.
    """
    if tolerance is not None:
        check_number(subject, "tolerance", tolerance, above=0)


def _default(file: OpenedFile, student: keras.Model) -> float:
    """Return the tolerance of a kind of file."""
    share = _TOLERANCES[file.kind]
    return max(share, _MIXED_TOLERANCE) if is_mixed(student) else share


def _examples(
    student: keras.Model,
    signature: Signature,
    dataset: Any,
    count: int,
    subject: str,
) -> dict[str, np.ndarray]:
    """Return what to compare on: the data given, or random inputs."""
    if dataset is None:
        return random_examples(student, signature, count, subject)
    return collect(
        dataset, signature, count, subject=subject, argument="verify"
    )


def _open_converted(
    path: Path, signature: Signature, quantization: str, subject: str
) -> OpenedFile:
    """Open what the converter made, and check that it did what was asked."""
    try:
        file = open_file(path, subject)
    except ValueError as error:
        raise ExportMismatchError(
            f"`{subject}`: the converter made a {quantization} file that the "
            f"LiteRT runtime refuses. {error}"
        ) from error
    _check_types(file, signature, quantization, subject)
    return file


def _check_types(
    file: OpenedFile, signature: Signature, quantization: str, subject: str
) -> None:
    """Check the types of a file: the converter is silent about them."""
    if file.kind != quantization:
        advice = {
            "dynamic_range": "Layers of fewer than 1,024 weights stay float, "
            "and this student has no larger one. Use 'float16' or 'int8'.",
            "int8": "Check the calibration data.",
        }.get(quantization, "")
        weights = ", ".join(f"{n} {k}" for k, n in file.weight_dtypes.items())
        raise ExportMismatchError(
            f"`{subject}` asked for {quantization} and the converter made a "
            f"{file.kind} file (weights: {weights or 'none'}). {advice}"
        )
    if quantization != "int8":
        return
    real = {spec.name for spec in signature.specs if "float" in spec.dtype}
    ends = [dtype for name, dtype in file.inputs.items() if name in real]
    ends += file.outputs.values()
    if set(ends) != {"int8"}:
        raise ExportMismatchError(
            f"`{subject}` asked for int8 and the converter made a file whose "
            f"inputs and outputs are {', '.join(ends)}. Use 'dynamic_range'."
        )


def _too_different(
    file: OpenedFile, tallies: dict[str, Tally], share: float
) -> str:
    """Word the worst difference that exceeds the tolerance, if any does."""
    excess = {
        name: tally.worst / (share * tally.span + file.steps.get(name, 0.0))
        for name, tally in tallies.items()
    }
    name = max(excess, key=lambda key: excess[key])
    if excess[name] <= 1:
        return ""
    tally = tallies[name]
    example, student, found = tally.worst_example
    return (
        f"on example {example}, output `{name}`, the student gives "
        f"{student:.6g} and the file {found:.6g}; the difference is "
        f"{tally.worst / tally.span:.3g} of the range of the student's "
        f"outputs, and the tolerance {share:g}"
    )


def _too_many_changed(result: Verification) -> str:
    """Word an agreement that is too low, if it is."""
    share = result.agreement
    eight_bits = result.kind in ("dynamic_range", "int8")
    if not eight_bits or share is None or share >= _MIN_AGREEMENT:
        return ""
    return (
        f"it picks the student's class on {share:.1%} of "
        f"{result.num_examples} examples, and {_MIN_AGREEMENT:.0%} is the "
        "least"
    )


def _mismatch(
    subject: str, result: Verification, problem: str
) -> ExportMismatchError:
    """Word a file that does not pass; the numbers go along."""
    error = ExportMismatchError(
        f"`{subject}`: the {result.kind} file does not behave like the "
        f"student: {problem}. {_ADVICE[result.kind]} A larger `tolerance` "
        "accepts it."
    )
    error.verification = result  # type: ignore[attr-defined]
    return error


def _summary(
    path: Path,
    file: OpenedFile,
    count: int,
    tallies: dict[str, Tally],
    share: float,
) -> Verification:
    """Return the numbers, of the output that differs most."""
    worst = max(tallies.values(), key=lambda t: t.worst / t.span, default=None)
    picks = sum(tally.picks for tally in tallies.values())
    same = sum(tally.same for tally in tallies.values())
    return Verification(
        path=str(path),
        kind=file.kind,
        num_examples=count,
        max_abs_difference=worst.worst if worst else None,
        mean_abs_difference=worst.total / worst.count if worst else None,
        output_range=worst.span if worst else None,
        tolerance=share,
        agreement=same / picks if picks else None,
        size_bytes=size_bytes(path),
        input_dtype=", ".join(file.inputs.values()),
        output_dtype=", ".join(file.outputs.values()),
        passed=False,
    )
