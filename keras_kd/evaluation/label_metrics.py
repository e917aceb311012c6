"""Accumulates F1 and AUC of several labels, batch by batch."""

from typing import Any

import keras
import numpy as np

from keras_kd.evaluation.classification_metrics import Tally
from keras_kd.evaluation.classification_metrics import log_softmax
from keras_kd.evaluation.vector_metrics import like
from keras_kd.evaluation.vector_metrics import spread


class LabelsTally:
    """Accumulates metrics of outputs with several labels, each yes or no.

    Accuracy, negative log-likelihood, calibration error and agreement are
    those of `Tally`, over all labels. A label that is -1 or NaN does not
    count.

    Formula:
        per_label_f1 = 2 * precision * recall / (precision + recall) at a
        probability of 0.5; per_label_auc = area under the receiver operating
        characteristic, as `keras.metrics.AUC` interpolates it between 1,000
        thresholds.

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
        self._f1: list[keras.metrics.Metric] = []
        self._auc: list[keras.metrics.Metric] = []

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
        known = ~(np.isnan(given) | (given < 0))
        w = w * known
        given = np.where(known, given, 0.0)
        self._tally.update(logits, given, w, teacher_logits)
        yes = np.exp(log_softmax(logits)[:, 1]).reshape(-1, shape[-1])
        given, w = given.reshape(yes.shape), w.reshape(yes.shape)
        for index in range(shape[-1]):
            self._add(index, yes[:, index], given[:, index], w[:, index])

    def result(self) -> dict[str, Any]:
        """Return every metric; `None` for those with nothing to count."""
        found = self._tally.result() | {"mean_iou": None}
        if self._f1:
            found["per_label_f1"] = [
                float(keras.ops.squeeze(metric.result())) for metric in self._f1
            ]
            found["per_label_auc"] = [
                float(metric.result()) for metric in self._auc
            ]
        return found

    def _add(
        self, index: int, yes: np.ndarray, label: np.ndarray, w: np.ndarray
    ) -> None:
        if index == len(self._f1):
            self._f1.append(keras.metrics.F1Score(threshold=0.5))
            self._auc.append(keras.metrics.AUC(num_thresholds=1000))
        label, yes = label[:, None], yes[:, None].astype(np.float32)
        self._f1[index].update_state(label, yes, w)
        self._auc[index].update_state(label, yes, w[:, None])
