"""Accumulates accuracy, calibration and agreement batch by batch."""

from typing import Any

import numpy as np

from keras_kd.core.checks import requirement
from keras_kd.evaluation.finite_outputs import check_finite

NUM_BINS = 15


class Tally:
    """Accumulates metrics of class logits, in float64 and bounded memory.

    Outputs with more axes than `(batch, classes)` are counted at each
    position; one whose label is -1 or NaN, only in `agreement` and
    `teacher_kl`. A weighted metric is `sum(weight * value) / sum(weight)`, as
    in Keras' weighted metrics.

    Formula:
        nll = mean of -log_softmax(logits)[label];
        teacher_kl = mean of sum_c p_c * (log p_c - log q_c), where p is the
        teacher's and q the model's softmax at temperature 1;
        calibration_error = sum over bins of (share of the bin) * |accuracy in
        the bin - mean confidence in the bin|, where confidence is the largest
        probability and the 15 bins are ((m-1)/15, m/15].

    Reference:
        Guo et al., 2017, arXiv:1706.04599, eq. 3 (calibration error).

    Example:
    >>> import numpy as np
    >>> from keras_kd.evaluation.classification_metrics import Tally
    >>> tally = Tally()
    >>> tally.update(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([0, 0]))
    >>> tally.result()["accuracy"]
    0.5
    """

    def __init__(self) -> None:
        self.num_examples = 0
        self._classes = 0
        self._positions = False
        self._labelled: bool | None = None
        self._taught = False
        self._sums: dict[str, Any] = {}

    def update(
        self,
        logits: np.ndarray,
        labels: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        teacher_logits: np.ndarray | None = None,
    ) -> None:
        """Count one batch.

        Args:
            logits: The model's class logits.
            labels: Class numbers, or rows of class probabilities.
            weights: One per example or one per position.
            teacher_logits: The teacher's class logits.

        Shapes:
            logits: `(batch, ..., classes)`, two classes or more.
            labels: `(batch, ...)` or `(batch, ..., classes)`.
            weights: `(batch,)` or `(batch, ...)`.
            teacher_logits: as `logits`.

        Raises:
            ValueError: If shapes or class counts do not fit, a logit is NaN,
                or a label is out of range.
        """
        self._check_classes(logits)
        places, classes = logits.shape[:-1], logits.shape[-1]
        self._positions = len(places) > 1
        w = _weights(weights, places)
        # NaN is not below inf; -inf is, and masks a class out.
        check_finite(logits < np.inf, "model", self.num_examples)
        log_q = log_softmax(logits)
        best = log_q.argmax(-1)
        self._add("weight", w)
        if labels is not None:
            label, nll, known = _score(labels, logits.shape, log_q, w)
            self._add_labelled(log_q, best, label, nll, known)
        if self._labelled not in (None, labels is not None):
            raise _bad("dataset", "labelled in every batch or in none", labels)
        self._labelled = labels is not None
        if teacher_logits is not None:
            if teacher_logits.shape != logits.shape:
                raise _bad(
                    "teacher",
                    f"of outputs like the model's, {classes} classes in "
                    f"shape {logits.shape}",
                    teacher_logits.shape,
                )
            self._taught = True
            check_finite(teacher_logits < np.inf, "teacher", self.num_examples)
            log_p = log_softmax(teacher_logits)
            self._add("agree", w * (log_p.argmax(-1) == best))
            self._add("kl", w * kl_divergence(log_p, log_q))
        self.num_examples += len(logits)

    def result(self) -> dict[str, Any]:
        """Return every metric; `None` for those with nothing to count.

        Raises:
            ValueError: If the weights add up to 0.
        """
        weight = float(self._sums.get("weight", 0.0))
        if not weight > 0:
            raise _bad("sample_weight", "above 0 somewhere", weight)
        known = float(self._sums.get("known", 0.0))
        taught = weight if self._taught else 0.0

        def mean(name: str, over: float) -> float | None:
            return float(self._sums[name] / over) if over > 0 else None

        error = recall = iou = None
        if known > 0:
            gap = self._sums["bin_correct"] - self._sums["bin_confidence"]
            error = float(np.abs(gap).sum() / known)
            recall = [
                float(hit / size) if size > 0 else None
                for hit, size in zip(
                    self._sums["hits"], self._sums["support"], strict=True
                )
            ]
            if self._positions:
                union = self._sums["support"] + self._sums["chosen"]
                union = union - self._sums["hits"]
                found = union > 0
                iou = float((self._sums["hits"][found] / union[found]).mean())
        return {
            "accuracy": mean("correct", known),
            "top5_accuracy": mean("top5", known if self._classes > 5 else 0.0),
            "nll": mean("nll", known),
            "calibration_error": error,
            "agreement": mean("agree", taught),
            "teacher_kl": mean("kl", taught),
            "per_class_recall": recall,
            "mean_iou": iou,
        }

    def _add_labelled(
        self,
        log_q: np.ndarray,
        best: np.ndarray,
        label: np.ndarray,
        nll: np.ndarray,
        w: np.ndarray,
    ) -> None:
        self._add("known", w)
        correct = w * (best == label)
        self._add("correct", correct)
        self._add("nll", nll)
        of_label = np.take_along_axis(log_q, label[:, None], -1)
        self._add("top5", w * ((log_q > of_label).sum(-1) < 5))
        confidence = np.exp(log_q.max(-1))
        bins = np.ceil(confidence * NUM_BINS).astype(int) - 1
        bins = np.clip(bins, 0, NUM_BINS - 1)
        self._count("bin_correct", bins, correct, NUM_BINS)
        self._count("bin_confidence", bins, w * confidence, NUM_BINS)
        self._count("hits", label, correct, self._classes)
        self._count("support", label, w, self._classes)
        self._count("chosen", best, w, self._classes)

    def _add(self, name: str, values: np.ndarray) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + values.sum()

    def _count(
        self, name: str, where: np.ndarray, values: np.ndarray, size: int
    ) -> None:
        counts = np.bincount(where, values, minlength=size)
        self._sums[name] = self._sums.get(name, 0.0) + counts

    def _check_classes(self, logits: np.ndarray) -> None:
        classes = logits.shape[-1]
        if logits.ndim < 2 or classes < 2:
            raise _bad(
                "model",
                "a classifier: outputs (batch, ..., classes), two classes or "
                "more",
                logits.shape,
            )
        if self._classes not in (0, classes):
            raise _bad("model", f"of {self._classes} classes", classes)
        self._classes = classes


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return float64 log-probabilities, one row per position."""
    rows = logits.reshape(-1, logits.shape[-1]).astype(np.float64)
    rows = rows - rows.max(-1, keepdims=True)
    return rows - np.log(np.exp(rows).sum(-1, keepdims=True))


def kl_divergence(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """Return KL(p to q) of each row; classes with p = 0 add nothing."""
    p = np.exp(log_p)
    with np.errstate(invalid="ignore"):
        return np.where(p > 0, p * (log_p - log_q), 0.0).sum(-1)


def _score(
    labels: np.ndarray,
    shape: tuple[int, ...],
    log_q: np.ndarray,
    w: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return class numbers, weighted negative log-likelihoods and weights.

    The weight of a position without a label is 0.
    """
    classes = shape[-1]
    if labels.shape == shape:
        rows = labels.reshape(-1, classes).astype(np.float64)
        w = w * ~(np.isnan(rows).any(-1) | (rows == -1).all(-1))
        _check_distributions(rows[w != 0])
        # Skips 0 * -inf, which is NaN: classes with label 0 add nothing.
        terms = np.multiply(rows, log_q, out=0 * rows, where=rows != 0)
        nll = np.multiply(w, -terms.sum(-1), out=0 * w, where=w != 0)
        return rows.argmax(-1), nll, w
    if labels.shape not in (shape[:-1], (*shape[:-1], 1)):
        raise _bad(
            "dataset",
            f"with labels of shape {shape[:-1]} or {shape}",
            labels.shape,
        )
    label = labels.reshape(-1)
    numeric = label.dtype.kind in "biuf"
    if numeric:
        w = w * ~(np.isnan(label) | (label == -1))
    inside = numeric and (
        (label == np.floor(label)) & (label >= 0) & (label < classes)
    )
    # Weight 0 marks padding and missing labels, which do not matter.
    if not np.all(inside | (w == 0)):
        outside = label[~inside & (w != 0)] if numeric else label
        raise _bad(
            "dataset",
            f"with labels that are class numbers from 0 to {classes - 1}, as "
            "the model has them, or -1 for no label",
            outside[0].item(),
        )
    label = np.where(inside, label, 0).astype(np.int64)
    nll = -np.take_along_axis(log_q, label[:, None], -1)[:, 0]
    return label, np.multiply(w, nll, out=0 * w, where=w != 0), w


def _check_distributions(rows: np.ndarray) -> None:
    """Refuse targets of a regression and rows of several labels."""
    wrong = (rows < 0).any(-1) | ~(np.abs(rows.sum(-1) - 1) < 1e-2)
    if wrong.any():
        raise ValueError(
            requirement(
                "evaluate",
                "dataset",
                "with labels that are class numbers or rows that add up to 1",
                rows[wrong][0].tolist(),
                "For a regression say `model_output='numbers'`, for several "
                "labels that may all be true `model_output='binary_logits'`.",
            )
        )


def _weights(weights: np.ndarray | None, places: tuple[int, ...]) -> np.ndarray:
    if weights is None:
        return np.ones(int(np.prod(places)))
    w = np.asarray(weights, np.float64)
    if w.ndim == len(places) + 1 and w.shape[-1] == 1:
        w = w[..., 0]
    if w.shape != places[: w.ndim] or not w.ndim:
        raise _bad("sample_weight", f"of shape {places}", w.shape)
    if not (np.isfinite(w) & (w >= 0)).all():
        raise _bad("sample_weight", "finite and at least 0", w.tolist())
    w = w.reshape(w.shape + (1,) * (len(places) - w.ndim))
    return np.broadcast_to(w, places).reshape(-1).copy()


def _bad(argument: str, expected: str, received: Any) -> ValueError:
    return ValueError(requirement("evaluate", argument, expected, received))
