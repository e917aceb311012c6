"""The checks that a file passes before it gets its name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement
from keras_kd.core.errors import ExportMismatchError
from keras_kd.core.files import size_bytes
from keras_kd.export.comparison import Tally
from keras_kd.export.comparison import compare
from keras_kd.export.conversion.precision import is_mixed
from keras_kd.export.conversion.result import check_floats
from keras_kd.export.conversion.result import open_converted
from keras_kd.export.examples import NUM_EXAMPLES
from keras_kd.export.examples import Examples
from keras_kd.export.examples import collect
from keras_kd.export.examples import random_examples
from keras_kd.export.kinds import KINDS
from keras_kd.export.kinds import MIN_AGREEMENT
from keras_kd.export.kinds import MIXED
from keras_kd.export.kinds import Demands
from keras_kd.export.kinds import made_kind
from keras_kd.export.layer_errors import worded
from keras_kd.export.layer_errors import worst_layers
from keras_kd.export.opened import OpenedFile
from keras_kd.export.opened import open_file
from keras_kd.export.signature import Signature
from keras_kd.export.signature import read_signature
from keras_kd.export.verification import Verification
from keras_kd.quantization import is_quantize_aware

# A student that computes in bfloat16 (8 bits) rounds as much by itself.
_MIXED_TOLERANCE = 5e-2
# A quantize-aware student computes as its file does, to a step of 1/255 of the
# range; what stays float in it may round otherwise, and add up.
_AWARE_TOLERANCE = 5e-2
# Most of the range that one step of an integer output may be.
_COARSEST = 1 / 8


def check_file(
    path: Path,
    student: keras.Model,
    dataset: Any,
    demands: Demands,
    *,
    subject: str,
    num_examples: int | None = NUM_EXAMPLES,
) -> Verification:
    """Check a file's types where a quantization is demanded, then its outputs.

    Args:
        path: The file or folder.
        student: The model, with what is in front of it in the file.
        dataset: See `keras_kd.export.verify`; `Examples` that were read from
            one, `None` for random inputs, `False` to compare nothing.
        demands: What the file has to fulfil.
        subject: Who asks, for the error messages.
        num_examples: See `keras_kd.export.verify`.

    Raises:
        ValueError: If the file is damaged or the data does not fit.
        ExportMismatchError: If the file does not pass.
    """
    signature = read_signature(student, subject)
    if demands.quantization is None:
        file = open_file(path, subject)
    else:
        kind = made_kind(student, demands.quantization)
        file = open_converted(path, signature, kind, subject)
        if kind == MIXED:
            check_floats(file, student, subject)
    tolerance = demands.tolerance
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
    result = _summary(path, file, len(examples), tallies, share)
    problem = _too_different(file, tallies, share)
    if not problem and dataset is not None and tolerance is None:
        problem = _too_many_changed(result)
    if not problem:
        problem = _too_inaccurate(result, demands.max_accuracy_loss, subject)
    if problem:
        why = _explanation(path, file, student, examples, subject)
        raise _mismatch(subject, result, problem, why)
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
    share = KINDS[file.kind].tolerance
    if file.kind in ("int8", MIXED) and is_quantize_aware(student):
        return _AWARE_TOLERANCE
    return max(share, _MIXED_TOLERANCE) if is_mixed(student) else share


def _examples(
    student: keras.Model,
    signature: Signature,
    dataset: Any,
    count: int | None,
    subject: str,
) -> Examples:
    """Return what to compare on: the data given, or random inputs."""
    if isinstance(dataset, Examples):
        return dataset
    if dataset is None:
        count = count or NUM_EXAMPLES
        return Examples(random_examples(student, signature, count, subject))
    return collect(
        dataset, signature, count, subject=subject, argument="dataset"
    )


def _too_different(
    file: OpenedFile, tallies: dict[str, Tally], share: float
) -> str:
    """Word the worst difference that exceeds the tolerance, if any does."""
    excess = {}
    for name, tally in tallies.items():
        # A file of few, coarse steps must not pass because they are coarse.
        step = min(file.steps.get(name, 0.0), _COARSEST * tally.span)
        excess[name] = tally.worst / (share * tally.span + step)
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
    rounds = KINDS[result.kind].rounds
    if not rounds or share is None or share >= MIN_AGREEMENT:
        return ""
    return (
        f"it picks the student's class on {share:.1%} of "
        f"{result.num_examples} examples, and {MIN_AGREEMENT:.0%} is the least"
    )


def _too_inaccurate(
    result: Verification, most: float | None, subject: str
) -> str:
    """Word a loss of accuracy that is too large, if it is."""
    if most is None:
        return ""
    difference = result.accuracy_difference
    if difference is None:
        raise ValueError(
            requirement(
                subject,
                "dataset",
                "labelled with classes for `max_accuracy_loss`",
                "no labels that fit the student's one output",
            )
        )
    # The shares are counts over one count: a hair is no example.
    if -difference <= most + 1e-9:
        return ""
    return (
        f"its accuracy on {result.num_examples} examples is "
        f"{result.accuracy:.2%}, the student's {result.student_accuracy:.2%}, "
        f"and {most:.2%} is the most that it may lose"
    )


def _explanation(
    path: Path,
    file: OpenedFile,
    student: keras.Model,
    examples: Examples,
    subject: str,
) -> str:
    """Name the layers that lose most, where rounding is the likely cause."""
    if not KINDS[file.kind].rounds:
        return ""
    try:
        return worded(worst_layers(path, student, examples, subject))
    except (RuntimeError, ValueError) as error:
        # What was found must not be lost to what only explains it.
        return f"Its layers could not be compared: {str(error)[:200]}"


def _mismatch(
    subject: str, result: Verification, problem: str, why: str
) -> ExportMismatchError:
    """Word a file that does not pass; the numbers go along."""
    sentences = [
        f"`{subject}`: the {result.kind} file does not behave like the "
        f"student: {problem}.",
        why,
        KINDS[result.kind].advice,
        "A larger `tolerance` accepts it.",
    ]
    error = ExportMismatchError(" ".join(filter(None, sentences)))
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
    labelled = sum(tally.labelled for tally in tallies.values())
    right = sum(tally.file_right for tally in tallies.values())
    expected = sum(tally.student_right for tally in tallies.values())
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
        accuracy=right / labelled if labelled else None,
        student_accuracy=expected / labelled if labelled else None,
        accuracy_difference=(right - expected) / labelled if labelled else None,
        weight_dtypes=file.weight_dtypes,
        operators=file.operators,
    )
