"""Updates the compiled metrics with the labelled examples only."""

import functools
from typing import Any

import keras

from keras_kd.core.keras_internals import flat_metrics
from keras_kd.core.keras_internals import flatten_labels
from keras_kd.core.keras_internals import mask_of
from keras_kd.distiller.unlabelled import for_metrics
from keras_kd.distiller.unlabelled import times


def update(
    compiled: Any, y: Any, predictions: Any, sample_weight: Any, loss: Any
) -> None:
    """Update metrics as Keras does, but only with the labelled examples.

    Keras passes weights only to `weighted_metrics`. This function also
    passes weights to `metrics`: 1 for a label and 0 for a missing label. If
    every example has a label, that changes nothing.

    Args:
        compiled: Keras' container of the metrics given to `compile`.
        y: The labels, as the data set yields them.
        predictions: The student's outputs.
        sample_weight: The weights, as the data set yields them, or `None`.
        loss: The `loss` given to `compile`.
    """
    labels, labelled = for_metrics(y, predictions, loss)
    if labelled is None:
        compiled.update_state(y, predictions, sample_weight)
        return
    if not compiled.built:
        compiled.build(labels, predictions)
    flatten = functools.partial(flatten_labels, compiled)
    known = flatten(labelled)
    weights = [None] if sample_weight is None else flatten(sample_weight)
    if len(weights) < len(known):
        weights = [weights[0]] * len(known)
    rows = zip(
        flat_metrics(compiled),
        flatten(labels),
        flatten(predictions),
        known,
        weights,
        strict=False,
    )
    for (plain, weighted), label, prediction, seen, weight in rows:
        for container, given in (
            (plain, (label, _unmasked(prediction), seen)),
            (weighted, (label, prediction, times(weight, seen))),
        ):
            for metric in container.metrics if container else []:
                _update(metric, *given)


def _update(metric: Any, label: Any, prediction: Any, seen: Any) -> None:
    """Update a metric; `seen` may say of each unit whether it has a label."""
    if len(seen.shape) < len(prediction.shape):
        metric.update_state(label, prediction, seen)
    elif isinstance(metric, keras.metrics.MeanMetricWrapper):
        # It averages over the last axis before it weights.
        metric.update_state(
            keras.ops.expand_dims(label, -1),
            keras.ops.expand_dims(prediction, -1),
            seen,
        )
    else:
        # Such as F1: it takes one weight for an example.
        whole = keras.ops.min(seen, axis=-1)
        metric.update_state(label, prediction, whole)


def _unmasked(prediction: Any) -> Any:
    """Drop the mask, which Keras applies only to weighted metrics."""
    return prediction if mask_of(prediction) is None else prediction + 0
