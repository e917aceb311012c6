"""What an `Evaluation` tells, and how a report words it."""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

from keras_kd.evaluation import Evaluation
from keras_kd.reporting import words
from keras_kd.reporting.counting import wilson

_MOST_LOST = 0.1


class Measure(NamedTuple):
    """An attribute of an `Evaluation`, and how it is worded."""

    attribute: str
    heading: str
    word: Callable[[Any], str]


# What tells how good a model is; the first that is there counts.
QUALITIES = (
    Measure("accuracy", "accuracy", words.percent),
    Measure("mae", "mean absolute error", words.number),
    Measure("cosine", "cosine with the targets", words.number),
    Measure("agreement", "same choice as the teacher", words.percent),
    Measure("teacher_mae", "difference from the teacher", words.number),
    Measure("teacher_cosine", "cosine with the teacher", words.number),
)
SMALLER_IS_BETTER = ("mae", "teacher_mae")
COSTS = (
    Measure("size_bytes", "size", words.size),
    Measure("latency_ms_p50", "time for one example", words.milliseconds),
    Measure("arena_bytes", "working memory", words.size),
)
COLUMNS = (
    *QUALITIES[:4],
    Measure("calibration_error", "calibration error", words.percent),
    *QUALITIES[4:],
    Measure("size_bytes", "bytes", words.number),
    Measure("latency_ms_p50", "median ms", words.number),
    Measure("latency_ms_p95", "95th percentile ms", words.number),
    Measure("arena_bytes", "arena bytes", words.number),
    Measure("num_params", "parameters", words.number),
    Measure("flops", "operations", words.number),
)


def value_of(evaluation: Evaluation, measure: Measure) -> Any:
    """Return what was measured, or `None`."""
    return getattr(evaluation, measure.attribute, None)


def quality_of(evaluation: Evaluation) -> Measure | None:
    """Return what tells how good a model is, or `None`."""
    found = (q for q in QUALITIES if value_of(evaluation, q) is not None)
    return next(found, None)


def far_behind(file: Evaluation, teacher: Evaluation) -> bool:
    """Tell whether a file loses too much accuracy to be recommended."""
    if file.accuracy is None or teacher.accuracy is None:
        return False
    return teacher.accuracy - file.accuracy > _MOST_LOST


def cell(evaluation: Evaluation, measure: Measure) -> str:
    """Return a measurement as text; an accuracy with its 95% interval."""
    value = value_of(evaluation, measure)
    if value is None:
        return "–"
    text = measure.word(value)
    if measure.attribute != "accuracy":
        return text
    low, high = wilson(value, evaluation.num_examples)
    return f"{text} ({100 * low:.1f}–{100 * high:.1f})"
