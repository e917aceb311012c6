"""The int8 file of a student, with int8 arithmetic in training if it helps."""

import dataclasses
import sys
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

import keras_kd
from keras_kd.core.errors import ExportMismatchError
from keras_kd.core.progress import Progress
from keras_kd.export.card import card_path

# A file that loses more than this, in points of accuracy on the validation
# examples, is made again from a student trained with int8 arithmetic.
ROUNDING_LOSS = 0.5


@dataclasses.dataclass(frozen=True)
class Int8File:
    """A verified file.

    Attributes:
        student: The student in it.
        check: Its comparison with the student.
        accuracy: Its share of right answers on the validation examples.
    """

    student: keras.Model
    check: keras_kd.export.Verification
    accuracy: float


def best_int8_file(
    student: keras.Model,
    path: Path,
    splits: keras_kd.data.Splits,
    train_on: Callable[[keras.Model], None],
    progress: Progress,
    runtime: Sequence[str] = (),
    *,
    is_late: Callable[[], bool] = lambda: False,
) -> Int8File:
    """Export a student as int8; where that loses, train it on and retry.

    Args:
        student: A trained student in float32.
        path: The file to write.
        splits: Training examples give the ranges, validation examples decide.
        train_on: Trains a quantize-aware student under the teacher.
        progress: Shows the progress.
        runtime: The runtimes in which the file has to pass.
        is_late: Whether it is too late to retry; the first file is then kept
            and what it loses is said.

    Raises:
        ExportMismatchError: If neither file behaves like its student.
    """
    with progress.stage("export and verify"):
        try:
            rounded = _export(student, path, splits, runtime)
        except ExportMismatchError:
            rounded = None
    of_student = accuracy_of(student, splits)
    if rounded is not None:
        lost = 100 * (of_student - rounded.accuracy)
        if lost <= ROUNDING_LOSS:
            return rounded
        if is_late():
            sys.stderr.write(
                f"The file loses {lost:.1f} points of its student's accuracy, "
                "and no time is left to train with int8 arithmetic. Allow "
                "more time.\n"
            )
            return rounded
    # The last one is the device's own.
    simulated = runtime[-1] if runtime else "litert"
    aware = keras_kd.quantization.quantize_aware(student, runtime=simulated)
    train_on(aware)
    other = path.with_stem(f"{path.stem}_aware")
    with progress.stage("export and verify again"):
        try:
            retried = _export(aware, other, splits, runtime)
        except ExportMismatchError:
            if rounded is None:
                raise
            return rounded
    better = rounded is None or retried.accuracy > rounded.accuracy
    for before, after in ((other, path), (card_path(other), card_path(path))):
        if better:
            before.replace(after)
        else:
            before.unlink()
    if rounded is not None and not better:
        return rounded
    check = dataclasses.replace(retried.check, path=str(path))
    return dataclasses.replace(retried, check=check)


def accuracy_of(model: Any, splits: keras_kd.data.Splits) -> float:
    """Return a model's or file's accuracy on the validation examples."""
    found = keras_kd.evaluate(model, splits.validation, latency=False)
    return found.accuracy or 0.0


def runtimes_for(budget: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the runtimes in which the file of a budget has to pass.

    One that limits the arena is for a microcontroller.
    """
    return ("litert", "tflm") if budget.get("arena_bytes") else ()


def _export(
    student: keras.Model,
    path: Path,
    splits: keras_kd.data.Splits,
    runtime: Sequence[str],
) -> Int8File:
    check = keras_kd.export.tflite(
        student,
        path,
        "int8",
        calibration=splits.train.map(lambda x, y: x),
        verify=splits.validation,
        labels=splits.class_names,
        runtime=runtime,
    )
    return Int8File(student, check, accuracy_of(path, splits))
