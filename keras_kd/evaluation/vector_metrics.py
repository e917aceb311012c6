"""Accumulates errors of numbers and cosines of embeddings, batch by batch."""

from typing import Any

import numpy as np

from keras_kd.core.checks import requirement
from keras_kd.evaluation.finite_outputs import check_finite


class NumbersTally:
    """Accumulates the errors of a regression, in float64.

    A weighted metric is `sum(weight * value) / sum(weight)`. A target that is
    NaN does not count.

    Formula:
        mae = mean of |output - target|;
        rmse = square root of the mean of (output - target)^2;
        teacher_mae = mean of |output - teacher's output|.

    Example:
    >>> import numpy as np
    >>> from keras_kd.evaluation.vector_metrics import NumbersTally
    >>> tally = NumbersTally()
    >>> tally.update(np.array([[1.0], [3.0]]), np.array([0.0, 0.0]))
    >>> tally.result()["mae"]
    2.0
    """

    def __init__(self) -> None:
        self.num_examples = 0
        self._sums: dict[str, float] = {}

    def update(
        self,
        outputs: np.ndarray,
        labels: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        teacher_outputs: np.ndarray | None = None,
    ) -> None:
        """Count one batch.

        Args:
            outputs: The model's numbers.
            labels: The targets.
            weights: One per example or one per position.
            teacher_outputs: The teacher's numbers.

        Shapes:
            outputs: `(batch, ..., units)`.
            labels: as `outputs`; for one unit also `(batch, ...)`.
            weights: `(batch,)` or `(batch, ...)`.
            teacher_outputs: as `outputs`.

        Raises:
            ValueError: If shapes do not fit or an output is not finite.
        """
        values = _finite(outputs, "model", self.num_examples)
        w = spread(weights, outputs.shape)
        if labels is not None:
            targets = like(labels, outputs.shape, "dataset", "targets")
            known = ~np.isnan(targets)
            gap = np.where(known, values - np.where(known, targets, 0.0), 0.0)
            self._add("weight", w * known)
            self._add("absolute", w * np.abs(gap))
            self._add("squared", w * gap**2)
        if teacher_outputs is not None:
            guide = like(teacher_outputs, outputs.shape, "teacher", "outputs")
            guide = _finite(guide, "teacher", self.num_examples)
            self._add("taught", w)
            self._add("apart", w * np.abs(values - guide))
        self.num_examples += len(outputs)

    def result(self) -> dict[str, Any]:
        """Return every metric; `None` for those with nothing to count."""
        squared = self._mean("squared", "weight")
        return {
            "mae": self._mean("absolute", "weight"),
            "rmse": None if squared is None else float(np.sqrt(squared)),
            "teacher_mae": self._mean("apart", "taught"),
        }

    def _add(self, name: str, values: np.ndarray) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + float(values.sum())

    def _mean(self, name: str, weight: str) -> float | None:
        total = self._sums.get(weight, 0.0)
        return self._sums[name] / total if total > 0 else None


class EmbeddingTally:
    """Accumulates the cosines between embeddings, in float64.

    Formula:
        cosine = mean of the cosine between output and target, without the
        targets that have a NaN;
        teacher_cosine = the same with the teacher's output.

    Example:
    >>> import numpy as np
    >>> from keras_kd.evaluation.vector_metrics import EmbeddingTally
    >>> tally = EmbeddingTally()
    >>> tally.update(np.array([[3.0, 4.0]]), np.array([[4.0, 3.0]]))
    >>> round(tally.result()["cosine"], 2)
    0.96
    """

    def __init__(self) -> None:
        self.num_examples = 0
        self._sums: dict[str, float] = {}

    def update(
        self,
        outputs: np.ndarray,
        labels: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        teacher_outputs: np.ndarray | None = None,
    ) -> None:
        """Count one batch.

        Args:
            outputs: The model's embeddings, `(batch, ..., units)`.
            labels: Embeddings of the same shape. Anything else, such as the
                number of a person, is not compared.
            weights: `(batch,)` or `(batch, ...)`.
            teacher_outputs: The teacher's embeddings.

        Raises:
            ValueError: If the teacher's embeddings have another shape, or a
                value is not finite.
        """
        values = _finite(outputs, "model", self.num_examples)
        w = spread(weights, outputs.shape)[..., 0]
        if labels is not None and np.shape(labels) == outputs.shape:
            targets = np.asarray(labels, np.float64)
            known = np.logical_not(np.isnan(targets).any(-1))
            targets = np.where(np.isnan(targets), 0.0, targets)
            self._add("cosine", w * known, values, targets)
        if teacher_outputs is not None:
            guide = like(teacher_outputs, outputs.shape, "teacher", "outputs")
            guide = _finite(guide, "teacher", self.num_examples)
            self._add("teacher_cosine", w, values, guide)
        self.num_examples += len(outputs)

    def result(self) -> dict[str, Any]:
        """Return every metric; `None` for those with nothing to count."""
        return {
            name: self._sums[name] / self._sums[f"{name} weight"]
            if self._sums.get(f"{name} weight")
            else None
            for name in ("cosine", "teacher_cosine")
        }

    def _add(
        self, name: str, w: np.ndarray, one: np.ndarray, other: np.ndarray
    ) -> None:
        norms = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
        cosines = (one * other).sum(-1) / np.maximum(norms, 1e-30)
        weight = f"{name} weight"
        self._sums[name] = self._sums.get(name, 0.0) + float(
            (w * cosines).sum()
        )
        self._sums[weight] = self._sums.get(weight, 0.0) + float(w.sum())


def like(
    values: Any, shape: tuple[int, ...], argument: str, what: str
) -> np.ndarray:
    """Return values of a shape in float64; one unit may lack its axis.

    Raises:
        ValueError: If they have another shape.
    """
    array = np.asarray(values)
    if array.shape == shape[:-1] and shape[-1] == 1:
        array = array[..., None]
    if array.shape != shape or array.dtype.kind not in "biuf":
        raise ValueError(
            requirement(
                "evaluate",
                argument,
                f"with {what} of shape {shape}, like the model's numbers",
                array.shape,
            )
        )
    return array.astype(np.float64)


def spread(weights: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """Return one weight for each value.

    Raises:
        ValueError: If the weights have another shape, or are negative.
    """
    if weights is None:
        return np.ones(shape)
    w = np.asarray(weights, np.float64)
    fits = w.ndim and w.shape == shape[: w.ndim]
    if not fits or not (np.isfinite(w) & (w >= 0)).all():
        raise ValueError(
            requirement(
                "evaluate",
                "sample_weight",
                f"finite, at least 0 and of shape {shape[:-1]}",
                w.shape,
            )
        )
    return np.broadcast_to(
        w.reshape(w.shape + (1,) * (len(shape) - w.ndim)), shape
    )


def _finite(values: Any, role: str, start: int) -> np.ndarray:
    """Return values in float64, or refuse those that are not finite."""
    array = np.asarray(values, np.float64)
    check_finite(np.isfinite(array), role, start)
    return array
