"""Compares a student's outputs with a file's outputs, batch by batch."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_kd.export.context import Context
from keras_kd.export.examples import Examples
from keras_kd.export.signature import named_outputs

Arrays = Mapping[str, np.ndarray]
# The kind of an output of integers, such as that of `argmax`: two of them are
# equal or not, and no nearer to each other than that.
INDEX = "index"
_BATCH = 64


@dataclass
class Comparison:
    """Statistics of one output over the batches seen so far.

    Attributes:
        kind: What the output is, one of `keras_kd.core.output_kinds.KINDS`;
            `None` if unknown.
        low: Smallest finite value of the student.
        high: Largest finite value of the student.
        worst: Largest difference; infinite if one of the values is not
            finite and they differ.
        worst_example: Number of the example with the largest difference, and
            the values of student and file there.
        total: Sum of the differences.
        count: Number of values compared.
        same: Number of positions where both pick the same class, or decide
            alike on a label.
        picks: Number of positions where a class is picked or a label
            decided; 0 for outputs of one unit, numbers and embeddings.
        cosines: Sum of the cosines between embeddings of student and file.
        vectors: Number of embeddings compared.
        classes: Number of classes, where labels are counted; 0 before.
        labelled: Number of positions whose class is known.
        student_right: Number of labelled positions where the student is
            right.
        file_right: Number of labelled positions where the file is right.
    """

    kind: str | None = None
    low: float = np.inf
    high: float = -np.inf
    worst: float = -1.0
    worst_example: tuple[int, float, float] = (0, 0.0, 0.0)
    total: float = 0.0
    count: int = 0
    same: int = 0
    picks: int = 0
    cosines: float = 0.0
    vectors: int = 0
    classes: int = 0
    labelled: int = 0
    student_right: int = 0
    file_right: int = 0

    @property
    def span(self) -> float:
        """Range of the student's values; if all are equal, their size."""
        if not self.high >= self.low:
            return 1.0
        return (self.high - self.low) or abs(self.high) or 1.0

    def add(self, student: np.ndarray, file: np.ndarray, first: int) -> None:
        """Add one batch, whose first example has the number `first`."""
        student = np.asarray(student, "float64")
        file = np.asarray(file, "float64")
        finite = np.isfinite(student) & np.isfinite(file)
        difference = np.abs(
            np.subtract(
                student, file, out=np.full_like(student, np.inf), where=finite
            )
        )
        difference[student == file] = 0.0
        if finite.any():
            self.low = min(self.low, float(student[finite].min()))
            self.high = max(self.high, float(student[finite].max()))
        at = np.unravel_index(np.argmax(difference), difference.shape)
        if difference[at] > self.worst:
            self.worst = float(difference[at])
            values = float(student[at]), float(file[at])
            self.worst_example = (first + int(at[0]), *values)
        self.total += float(difference.sum())
        self.count += difference.size
        if self.kind == "embedding":
            self._add_cosines(student, file)
        elif self.kind == INDEX:
            self.same += int((student == file).sum())
            self.picks += student.size
        elif self.kind != "numbers" and student.shape[-1] > 1 < student.ndim:
            same = self._choices(student) == self._choices(file)
            self.same += int(same.sum())
            self.picks += same.size

    @property
    def _labels(self) -> bool:
        return (self.kind or "").startswith("binary")

    def _choices(self, outputs: np.ndarray) -> np.ndarray:
        """Return the classes picked, or the labels decided on."""
        if self._labels:
            return outputs > (0.5 if self.kind == "binary_probabilities" else 0)
        return outputs.argmax(-1)

    def _add_cosines(self, student: np.ndarray, file: np.ndarray) -> None:
        norms = np.linalg.norm(student, axis=-1) * np.linalg.norm(file, axis=-1)
        with np.errstate(invalid="ignore"):
            cosines = (student * file).sum(-1) / np.maximum(norms, 1e-30)
        self.cosines += float(np.nan_to_num(cosines).sum())
        self.vectors += cosines.size

    def add_labels(
        self, student: np.ndarray, file: np.ndarray, labels: np.ndarray
    ) -> None:
        """Count right classes of one batch, or labels that are decided right.

        Labels of another kind than the output are not counted.
        """
        if self.kind in ("numbers", "embedding", INDEX):
            return
        read = _decisions if self._labels else _classes
        known = read(labels, student.shape)
        if known is not None:
            self.classes = max(2, student.shape[-1] * (not self._labels))
            self.labelled += known.size
            self.student_right += int((self._choices(student) == known).sum())
            self.file_right += int((self._choices(file) == known).sum())


def _decisions(labels: np.ndarray, shape: tuple[int, ...]) -> Any:
    """Return labels of 0 and 1 as booleans; `None` if they are others."""
    if labels.size != np.prod(shape) or labels.dtype.kind not in "iubf":
        return None
    known = np.isin(labels, (0, 1)).all()
    return labels.reshape(shape).astype(bool) if known else None


def _classes(labels: np.ndarray, shape: tuple[int, ...]) -> Any:
    """Return labels as class numbers; `None` if they are something else.

    Args:
        labels: Class numbers of shape `shape[:-1]`, maybe with one more axis
            of size 1; or one-hot labels of shape `shape`.
        shape: Shape of the outputs.
    """
    if len(shape) < 2 or shape[-1] < 2:
        return None
    if labels.dtype.kind in "iub" and labels.size == np.prod(shape[:-1]):
        return labels.reshape(shape[:-1])
    one_hot = labels.shape == shape and (
        np.isin(labels, (0, 1)).all() and (labels.sum(-1) == 1).all()
    )
    return labels.argmax(-1) if one_hot else None


def compare(
    context: Context,
    predict: Callable[[Arrays], Arrays],
    examples: Examples,
) -> dict[str, Comparison]:
    """Run the student and a file on the same examples.

    Args:
        context: The student.
        predict: Runs the file: function from inputs by name to outputs by
            name.
        examples: Inputs and, if there are any, labels.

    Returns:
        One `Comparison` per output, by its name in the file.

    Raises:
        ValueError: If the file's outputs have other names or shapes.
    """
    with _full_precision():
        return _compare(context, predict, examples)


def _compare(
    context: Context,
    predict: Callable[[Arrays], Arrays],
    examples: Examples,
) -> dict[str, Comparison]:
    comparisons: dict[str, Comparison] = {}
    for first in range(0, len(examples), _BATCH):
        at = slice(first, first + _BATCH)
        part = {name: value[at] for name, value in examples.inputs.items()}
        x = context.signature.build(part)
        outputs = named_outputs(context.model(x, training=False))
        expected = {
            name: np.asarray(keras.ops.convert_to_numpy(value), "float64")
            for name, value in outputs.items()
        }
        found = _paired(predict(part), expected)
        for name, value in expected.items():
            if found[name].shape != value.shape:
                raise ValueError(
                    f"output `{name}` has shape {found[name].shape}, the "
                    f"student's has {value.shape}"
                )
            kind = context.output_kinds.get(name)
            if "float" not in keras.backend.standardize_dtype(
                outputs[name].dtype
            ):
                kind = INDEX
            comparison = comparisons.setdefault(name, Comparison(kind))
            comparison.add(value, found[name], first)
            if examples.labels is not None and len(expected) == 1:
                comparison.add_labels(value, found[name], examples.labels[at])
    return comparisons


@contextmanager
def _full_precision() -> Iterator[None]:
    """Switch TensorFloat-32 off, which keeps 10 bits of a float32 on GPUs."""
    import tensorflow as tf

    settings = tf.config.experimental
    before = settings.tensor_float_32_execution_enabled()
    settings.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        settings.enable_tensor_float_32_execution(before)


def _paired(found: Arrays, expected: Arrays) -> dict[str, Any]:
    """Return a file's outputs under the student's names."""
    if len(found) == len(expected) == 1:
        # Files made by other tools may give a single output any name.
        return dict(zip(expected, found.values(), strict=True))
    if sorted(found) != sorted(expected):
        raise ValueError(
            f"its outputs are {sorted(found)}, the student's are "
            f"{sorted(expected)}"
        )
    return dict(found)
