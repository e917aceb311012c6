"""Accumulates F1 and AUC of several labels, batch by batch."""

from typing import Any

import numpy as np

from keras_kd.evaluation.classification_metrics import Tally
from keras_kd.evaluation.vector_metrics import like
from keras_kd.evaluation.vector_metrics import spread


class LabelsTally:
    """Accumulates metrics of outputs with several labels, each yes or no.

    For F1 and AUC it holds 13 bytes for each label of each example.

    Accuracy, negative log-likelihood, calibration error and agreement are
    those of `Tally`, over all labels. A label that is -1 or NaN counts only
    in the agreement.

    Formula:
        per_label_f1 = 2 * precision * recall / (precision + recall) at a
        probability of 0.5; per_label_auc = area under the receiver operating
        characteristic = share of the pairs of a positive and a negative
        example in which the positive has the larger logit, ties counted half
        and pairs weighted by the product of the weights.

    Example:
    >>> import numpy as np
    >>> from keras_kd.evaluation.label_metrics import LabelsTally
    >>> tally = LabelsTally()
    >>> logits = np.stack([np.zeros((2, 2)), [[2.0, -1.0], [1.0, 3.0]]], -1)
    >>> tally.update(logits, np.array([[1, 0], [0, 1]]))
    >>> [round(value, 2) for value in tally.result()["per_label_f1"]]
    [0.67, 1.0]
    """

    def __init__(self) -> None:
        self._tally = Tally()
        self._held: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    @property
    def num_examples(self) -> int:
        """Number of examples counted."""
        return self._tally.num_examples

    def update(
        self,
        logits: np.ndarray,
        labels: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        teacher_logits: np.ndarray | None = None,
    ) -> None:
        """Count one batch.

        Args:
            logits: Two logits for each label, `(batch, ..., labels, 2)`.
            labels: 0 and 1, `(batch, ..., labels)`.
            weights: `(batch,)` or `(batch, ...)`.
            teacher_logits: as `logits`.

        Raises:
            ValueError: If shapes do not fit, or a label is neither 0 nor 1.
        """
        shape = logits.shape[:-1]
        w = spread(weights, shape)
        if labels is None:
            self._tally.update(logits, None, w, teacher_logits)
            return
        given = like(labels, shape, "dataset", "labels")
        self._tally.update(logits, given, w, teacher_logits)
        known = ~(np.isnan(given) | (given == -1))
        score = (logits[..., 1] - logits[..., 0]).astype(np.float32)
        parts = score, given == 1, w * known
        rows = [part.reshape(-1, shape[-1]) for part in parts]
        self._held.append((rows[0], rows[1], rows[2]))

    def result(self) -> dict[str, Any]:
        """Return every metric; `None` for those with nothing to count."""
        found = self._tally.result() | {"mean_iou": None}
        if found["accuracy"] is not None:
            score, yes, w = map(np.concatenate, zip(*self._held, strict=True))
            columns = list(zip(score.T, yes.T, w.T, strict=True))
            found["per_label_f1"] = [_f1(*column) for column in columns]
            found["per_label_auc"] = [_auc(*column) for column in columns]
        return found


def _f1(score: np.ndarray, yes: np.ndarray, w: np.ndarray) -> float | None:
    """Return F1, 0 if there are only true negatives."""
    if not w.any():
        return None
    chosen = score > 0
    hits = w[chosen & yes].sum()
    total = w[chosen].sum() + w[yes].sum()
    return float(2 * hits / total) if total else 0.0


def _auc(score: np.ndarray, yes: np.ndarray, w: np.ndarray) -> float | None:
    values, place = np.unique(score, return_inverse=True)
    positive = np.bincount(place, w * yes, len(values))
    negative = np.bincount(place, w * ~yes, len(values))
    if not (positive.any() and negative.any()):
        return None
    below = np.cumsum(negative) - negative / 2
    return float(positive / positive.sum() @ below / negative.sum())
