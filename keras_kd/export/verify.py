"""Proves that an exported file behaves like the student it was made from."""

import math
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_integer
from keras_kd.core.checks import check_number
from keras_kd.core.errors import ExportMismatchError
from keras_kd.core.files import size_bytes
from keras_kd.evaluation.litert import OTHER_RANGE
from keras_kd.evaluation.runtimes import UnusableFileError
from keras_kd.export.comparison import INDEX
from keras_kd.export.comparison import Comparison
from keras_kd.export.comparison import compare
from keras_kd.export.context import Context
from keras_kd.export.context import read_context
from keras_kd.export.conversion.precision import is_mixed
from keras_kd.export.conversion.result import check_floats
from keras_kd.export.conversion.result import open_converted
from keras_kd.export.examples import NUM_EXAMPLES
from keras_kd.export.examples import Examples
from keras_kd.export.examples import collect
from keras_kd.export.kinds import KINDS
from keras_kd.export.kinds import MIN_AGREEMENT
from keras_kd.export.kinds import MIN_COSINE
from keras_kd.export.kinds import MIXED
from keras_kd.export.kinds import Demands
from keras_kd.export.layer_errors import worded
from keras_kd.export.layer_errors import worst_layers
from keras_kd.export.layer_names import LayerNames
from keras_kd.export.opened import OpenedFile
from keras_kd.export.opened import fitting_runtimes
from keras_kd.export.opened import open_file
from keras_kd.export.random_examples import random_examples
from keras_kd.export.verification import Difference
from keras_kd.export.verification import Verification
from keras_kd.quantization import simulated_runtime

_SUBJECT = "export.verify"
# A student that computes in bfloat16 (8 bits) rounds this much by itself.
_MIXED_TOLERANCE = 5e-2
# A quantize-aware student agrees with its file to a step of 1/255 of the range.
# Layers that stay in float32 may round differently, and the errors add up.
_AWARE_TOLERANCE = 5e-2
# Bytes that are off by more than this share of a byte are other inputs, and
# their files have the tolerance of any int8 file.
_EXACT = 1e-2
# Widest margin around chance in which an accuracy counts as chance.
_MOST_SPREAD = 0.1
# Largest step of an integer output that is tolerated, as a share of the range.
_COARSEST = 1 / 8


def verify(  # noqa: PLR0913 (two models, their data, what to demand)
    path: str | os.PathLike[str],
    student: Any,
    dataset: Any,
    *,
    tolerance: float | None = None,
    max_accuracy_loss: float | None = None,
    num_examples: int | None = NUM_EXAMPLES,
    preprocess: Any = None,
    runtime: str | Sequence[str] | None = None,
) -> Verification:
    """Compare an exported file with the student it was made from.

    Runs both on the same examples. A file passes when

        max |file - student| <= tolerance * range + step

    over all examples and outputs. `range` is that of the student's values;
    `step` is the quantization step of an integer output (0 for floats, and at
    most an eighth of the range). The default tolerance is 1e-4 for
    SavedModel, ONNX and float32, 1e-2 for float16, 0.1 for dynamic_range and
    int16x8, 0.2 for int8 and 0.4 for int4_weights. It is 0.05 for the int8
    file of a quantize-aware student in the runtime that it simulates, where it
    computes the same (if bytes stand exactly for its inputs, as from 0 to 1 and
    not from -1 to 1), and at least 0.05 for a student that computes in float16
    or bfloat16.

    All kinds but SavedModel, ONNX, float32 and float16 round to so few bits
    that classes may change. With the default tolerance, such a file must also
    pick the student's class on 80 % of the data, or decide alike on 80 % of
    the labels. Numbers have no such demand. Embeddings of such a file must
    have a mean cosine of 0.98 with the student's, instead of the tolerance.
    If it does not pass, the
    student is converted once more, to float32, and the error names the layers
    with the largest errors; that takes some seconds.

    Args:
        path: A SavedModel folder, a `.tflite` or an `.onnx` file.
        student: The model that the file was made from.
        dataset: Inputs of the file, in any form that `fit` takes. If the
            data has labels (class numbers or one-hot; 0 and 1 for outputs
            of two classes or labels), the accuracies of file and student are
            reported.
        tolerance: Share of the range, above 0. Replaces the default; the
            share of equal classes is then reported but not checked.
        max_accuracy_loss: Largest loss of accuracy allowed on the labelled
            data, such as 0.01 for one percentage point. With `None`, the
            default, the loss is reported but not checked.
        num_examples: Largest number of examples to compare; `None` for all.
            Defaults to 256.
        preprocess: The layers that were put in front of the student (see
            `tflite`).
        runtime: The runtime that runs the file, or several, in all of which
            it must pass: `"litert"`, the default for `.tflite` files;
            `"litert-reference"`, LiteRT with the kernels that define each
            operator; `"tflm"`, TFLite Micro, as on microcontrollers, with
            the extra `micro`; `"onnxruntime"` for `.onnx` files.

    Returns:
        The `Verification`, with `passed` True.

    Raises:
        ImportError: If a runtime is not installed.
        ValueError: If the file is missing or damaged, a runtime lacks some of
            its operators, or the data does not fit the student.
        ExportMismatchError: If the file does not pass; the error's
            `verification` has the numbers.

    Example:
    >>> import keras, keras_kd, numpy as np, tempfile
    >>> student = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> folder = tempfile.mkdtemp() + "/student"
    >>> _ = keras_kd.export.saved_model(student, folder, verify=False)
    >>> x = np.ones((8, 3), "float32")
    >>> keras_kd.export.verify(folder, student, x).agreement
    1.0
    """
    if num_examples is not None:
        check_integer(_SUBJECT, "num_examples", num_examples, low=1)
    if max_accuracy_loss is not None:
        name = "max_accuracy_loss"
        check_number(_SUBJECT, name, max_accuracy_loss, low=0, high=1)
    context = read_context(
        _SUBJECT, student, preprocess=preprocess, runtime=runtime
    )
    check_tolerance(context, tolerance)
    context.check_installed()
    return check_file(
        context,
        Path(path),
        dataset,
        Demands(tolerance, max_accuracy_loss),
        num_examples=num_examples,
    )


def check_file(
    context: Context,
    path: Path,
    dataset: Any,
    demands: Demands,
    *,
    num_examples: int | None = NUM_EXAMPLES,
    target: Path | None = None,
) -> Verification:
    """Check a file's types if a quantization is demanded, then its outputs.

    Args:
        context: The student, and the layers in front of it in the file.
        path: The file or folder.
        dataset: See `keras_kd.export.verify`; or `Examples` read from a
            dataset, `None` for random inputs, `False` to compare nothing.
        demands: Requirements on the file.
        num_examples: See `keras_kd.export.verify`.
        target: The path that the user gave, if the file will get it later.

    Raises:
        ValueError: If the file is damaged or the data does not fit.
        ExportMismatchError: If the file does not pass.
    """
    target = target or path
    try:
        files = _opened(context, path, demands)
    except UnusableFileError as error:
        names = LayerNames(context)
        told = error.retold(context.subject, target, names.shown)
        raise told from error
    if demands.quantization is None:
        context = _as_in_file(context, files[0])
    if dataset is False:
        share = demands.tolerance or _default(context, files[0])
        return replace(_summary(path, files[0], 0, {}, share), path=str(target))
    examples = _examples(context, dataset, num_examples)
    is_real = dataset is not None
    if is_real:  # random inputs have a range of their own
        argument = "verify" if demands.quantization else "dataset"
        _check_ranges(context, files[0], examples, argument)
    check = _Check(context, path, target, examples, demands, is_real)
    results = [check.passed(file) for file in files]
    under = {k: v for one in results for k, v in one.runtimes.items()}
    arenas = [one.arena_bytes for one in results if one.arena_bytes]
    arena = arenas[0] if arenas else None
    return replace(results[0], runtimes=under, arena_bytes=arena)


def _opened(context: Context, path: Path, demands: Demands) -> list[OpenedFile]:
    """Open a file in each runtime, before it is run in any."""
    fitting = fitting_runtimes(path)
    for name in context.runtimes:
        check_choice(context.subject, "runtime", name, fitting or (None,))
    files = []
    names: tuple[str | None, ...] = context.runtimes or fitting[:1]
    for runtime in names or (None,):
        if demands.quantization is None:
            file = open_file(path, context.subject, runtime)
        else:
            kind = context.made_kind(demands.quantization)
            file = open_converted(context, path, kind, runtime)
            if kind == MIXED:
                check_floats(context, file)
        files.append(file)
    return files


@dataclass(frozen=True)
class _Check:
    """What a file is checked against, in every runtime.

    Args:
        context: The student, and the layers in front of it in the file.
        path: The file or folder.
        target: The path that the user gave for it.
        examples: The examples to compare on.
        demands: Requirements on the file.
        is_real: Whether the examples are the user's, and not random inputs.
    """

    context: Context
    path: Path
    target: Path
    examples: Examples
    demands: Demands
    is_real: bool

    def passed(self, file: OpenedFile) -> Verification:
        """Return the numbers of a file in its runtime.

        Raises:
            ExportMismatchError: If it does not pass.
        """
        context, tolerance = self.context, self.demands.tolerance
        share = tolerance or _default(context, file)
        try:
            comparisons = compare(context, file.predict, self.examples)
        except (RuntimeError, ValueError) as error:
            raise ExportMismatchError(
                f"`{context.subject}`: {_named(file)} cannot do what the "
                f"student does: {error}"
            ) from error
        size = len(self.examples)
        result = replace(
            _summary(self.path, file, size, comparisons, share),
            path=str(self.target),
        )
        checked = comparisons
        if KINDS[file.kind].rounds and tolerance is None:
            checked = _held_to_values(comparisons)
        problem = _too_different(file, checked, share) if checked else ""
        if not problem and self.is_real and tolerance is None:
            problem = _too_many_changed(result)
        if not problem:
            most = self.demands.max_accuracy_loss
            problem = _too_inaccurate(context, result, most)
        if problem:
            why = _explanation(context, self.path, file, self.examples)
            raise _mismatch(context, file, result, problem, why)
        _warn_at_chance(context, comparisons)
        return replace(result, passed=True)


def _named(file: OpenedFile) -> str:
    """Name a file by its kind, and its runtime if it is not the usual one."""
    usual = file.runtime in (None, "litert", "onnxruntime")
    return f"the {file.kind} file" + (
        "" if usual else f" in the runtime {file.runtime!r}"
    )


def _held_to_values(
    comparisons: dict[str, Comparison],
) -> dict[str, Comparison]:
    """Leave out embeddings and indices.

    The coordinates of an embedding may move; its direction may not. Of
    indices, a share may change.
    """
    return {
        name: one
        for name, one in comparisons.items()
        if one.kind not in ("embedding", INDEX)
    }


def _as_in_file(context: Context, file: OpenedFile) -> Context:
    """Return the context with what the file says of its inputs and outputs."""
    specs = context.signature.specs
    if len(specs) == 1 and "float" in specs[0].dtype:
        [*dtypes] = file.inputs.values()
        if dtypes == ["uint8"]:
            context = replace(context, input_dtype="uint8")
    given = [*context.output_kinds.values()]
    changed = [one for one in file.output_kinds if one not in given]
    if any(str(one).endswith("probabilities") for one in changed):
        context = replace(context, output="probabilities")
    return context


def check_tolerance(context: Context, tolerance: float | None) -> None:
    """Check a tolerance, before anything is converted.

    Raises:
        TypeError: If the tolerance is not a number.
        ValueError: If the tolerance is not above 0.
    """
    if tolerance is not None:
        check_number(context.subject, "tolerance", tolerance, above=0)


def _default(context: Context, file: OpenedFile) -> float:
    """Return the default tolerance for a file."""
    share = KINDS[file.kind].tolerance
    simulated = simulated_runtime(context.student)
    if file.kind in ("int8", MIXED) and simulated is not None:
        grid = context.byte_grid
        # TFLite Micro rounds as the reference does, to a step.
        is_simulated = (simulated == "litert") == (file.runtime == "litert")
        if is_simulated and (grid is None or grid.shift < _EXACT):
            return _AWARE_TOLERANCE
    return max(share, _MIXED_TOLERANCE) if is_mixed(context.model) else share


def _examples(context: Context, dataset: Any, count: int | None) -> Examples:
    """Return the examples to compare on: the given data or random inputs."""
    if isinstance(dataset, Examples):
        return dataset
    if dataset is None:
        return Examples(random_examples(context, count or NUM_EXAMPLES))
    return collect(context, dataset, count, "dataset")


def _check_ranges(
    context: Context, file: OpenedFile, examples: Examples, argument: str
) -> None:
    """Refuse data of another range than that which a quantized input takes.

    File and student would agree on data that mean nothing to either.

    Raises:
        ValueError: If the largest value is over a hundred times too large or
            too small, as pixels from 0 to 255 are for inputs from 0 to 1.
    """
    for spec in context.signature.specs:
        value = examples.inputs[spec.name]
        if spec.name not in file.ranges or value.dtype.kind != "f":
            continue
        low, high = file.ranges[spec.name]
        largest, takes = float(np.abs(value).max()), max(-low, high)
        if largest > OTHER_RANGE * takes or 0 < largest < takes / OTHER_RANGE:
            raise context.refusal(
                argument,
                f"of the range that the file takes for `{spec.key}`, "
                f"{low:.4g} to {high:.4g}",
                f"{value.min():.4g} to {value.max():.4g}",
                "Preprocess the data as for training and calibration.",
            )


def _warn_at_chance(
    context: Context, comparisons: dict[str, Comparison]
) -> None:
    """Warn if the file is right no more often than by chance."""
    # Labels are counted for a single output only.
    comparison = next(iter(comparisons.values()))
    if not comparison.labelled:
        return
    chance = 1 / comparison.classes
    spread = math.sqrt(chance * (1 - chance) / comparison.labelled)
    accuracy = comparison.file_right / comparison.labelled
    # On few examples, a good student may look like chance.
    if 2 * spread > _MOST_SPREAD or accuracy > chance + 2 * spread:
        return
    warnings.warn(
        f"`{context.subject}`: the file is right on {accuracy:.1%} of "
        f"{comparison.labelled} examples, no more than by chance among "
        f"{comparison.classes} classes. If the student was trained, its data "
        "had another range, another order of classes or other labels than "
        "these, or it was trained for too few steps: the statistics of a "
        "BatchNormalization take some hundred.",
        stacklevel=2,
    )


def _too_different(
    file: OpenedFile, comparisons: dict[str, Comparison], share: float
) -> str:
    """Describe the worst difference, empty if it is within the tolerance."""
    excess = {}
    for name, comparison in comparisons.items():
        # A file with very coarse steps must not pass because they are coarse.
        step = min(file.steps.get(name, 0.0), _COARSEST * comparison.span)
        excess[name] = comparison.worst / (share * comparison.span + step)
    name = max(excess, key=lambda key: excess[key])
    if excess[name] <= 1:
        return ""
    comparison = comparisons[name]
    example, student, found = comparison.worst_example
    return (
        f"on example {example}, output `{name}`, the student gives "
        f"{student:.6g} and the file {found:.6g}; the difference is "
        f"{comparison.worst / comparison.span:.3g} of the range of the "
        f"student's outputs, and the tolerance {share:g}"
    )


def _too_many_changed(result: Verification) -> str:
    """Describe an agreement that is too low, empty if it is not."""
    if not KINDS[result.kind].rounds:
        return ""
    if result.cosine is not None and not result.cosine >= MIN_COSINE:
        return (
            "the mean cosine between its embeddings and the student's is "
            f"{result.cosine:.3f} on {result.num_examples} examples, and "
            f"{MIN_COSINE} is the least"
        )
    share = result.agreement
    if share is None or share >= MIN_AGREEMENT:
        return ""
    return (
        f"it picks the student's class on {share:.1%} of "
        f"{result.num_examples} examples, and {MIN_AGREEMENT:.0%} is the least"
    )


def _too_inaccurate(
    context: Context, result: Verification, most: float | None
) -> str:
    """Describe a loss of accuracy that is too large, empty if it is not."""
    if most is None:
        return ""
    difference = result.accuracy_difference
    if difference is None:
        raise context.refusal(
            "dataset",
            "labelled with classes for `max_accuracy_loss`",
            "no labels that fit the student's one output",
        )
    # The margin is for float rounding: one example weighs far more.
    if -difference <= most + 1e-9:
        return ""
    return (
        f"its accuracy on {result.num_examples} examples is "
        f"{result.accuracy:.2%}, the student's {result.student_accuracy:.2%}, "
        f"and {most:.2%} is the most that it may lose"
    )


def _explanation(
    context: Context, path: Path, file: OpenedFile, examples: Examples
) -> str:
    """Name the layers with the largest errors, if the kind of file rounds."""
    if not KINDS[file.kind].rounds:
        return ""
    try:
        return worded(worst_layers(context, path, examples))
    except (RuntimeError, ValueError) as error:
        # A failing explanation must not hide the mismatch itself.
        return f"Its layers could not be compared: {str(error)[:200]}"


def _mismatch(
    context: Context,
    file: OpenedFile,
    result: Verification,
    problem: str,
    why: str,
) -> ExportMismatchError:
    """Return the error for a file that does not pass, with its numbers."""
    sentences = [
        f"`{context.subject}`: {_named(file)} does not behave like "
        f"the student: {problem}.",
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
    comparisons: dict[str, Comparison],
    share: float,
) -> Verification:
    """Return the numbers, with the differences of the worst output."""
    each = comparisons.values()
    worst = max(each, key=lambda one: one.worst / one.span, default=None)
    picks = sum(one.picks for one in each)
    same = sum(one.same for one in each)
    vectors = sum(one.vectors for one in each)
    cosines = sum(one.cosines for one in each)
    labelled = sum(one.labelled for one in each)
    under = {}
    if file.runtime is not None and worst is not None:
        under[file.runtime] = Difference(
            worst.worst,
            _steps(file, comparisons),
            same / picks if picks else None,
        )
    right = sum(one.file_right for one in each)
    expected = sum(one.student_right for one in each)
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
        cosine=cosines / vectors if vectors else None,
        accuracy=right / labelled if labelled else None,
        student_accuracy=expected / labelled if labelled else None,
        accuracy_difference=(right - expected) / labelled if labelled else None,
        weight_dtypes=file.weight_dtypes,
        operators=file.operators,
        runtimes=under,
        arena_bytes=file.arena_bytes,
    )


def _steps(
    file: OpenedFile, comparisons: dict[str, Comparison]
) -> float | None:
    """Return the largest difference in steps of a quantized output."""
    found = [
        one.worst / file.steps[name]
        for name, one in comparisons.items()
        if file.steps.get(name)
    ]
    return max(found, default=None)
