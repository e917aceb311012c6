"""Updates the compiled metrics with the labelled examples only."""

import functools
import warnings
from typing import Any

import keras

from keras_kd.core.keras_internals import flat_metrics
from keras_kd.core.keras_internals import flatten_labels
from keras_kd.core.keras_internals import mask_of
from keras_kd.core.tensorflow_internals import variables_of_no_trace
from keras_kd.distiller.unlabelled import for_metrics
from keras_kd.distiller.unlabelled import times

# Metrics that take a weight for each unit.
_BY_UNIT = (
    keras.metrics.AUC,
    keras.metrics.FalseNegatives,
    keras.metrics.FalsePositives,
    keras.metrics.Precision,
    keras.metrics.PrecisionAtRecall,
    keras.metrics.R2Score,
    keras.metrics.Recall,
    keras.metrics.RecallAtPrecision,
    keras.metrics.RootMeanSquaredError,
    keras.metrics.SensitivityAtSpecificity,
    keras.metrics.SpecificityAtSensitivity,
    keras.metrics.TrueNegatives,
    keras.metrics.TruePositives,
)
# Means of what the units of an example give together.
_ACROSS_UNITS = (
    keras.metrics.CategoricalAccuracy,
    keras.metrics.CategoricalCrossentropy,
    keras.metrics.CategoricalHinge,
    keras.metrics.CosineSimilarity,
    keras.metrics.KLDivergence,
    keras.metrics.TopKCategoricalAccuracy,
)


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
    if not compiled.built:
        with variables_of_no_trace():
            compiled.build(y if labelled is None else labels, predictions)
    if labelled is None:
        compiled.update_state(y, predictions, sample_weight)
        return
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
    ops = keras.ops
    if len(seen.shape) < len(prediction.shape):
        metric.update_state(label, prediction, seen)
        return
    example = ops.max(seen, axis=-1)
    if isinstance(metric, keras.metrics.FBetaScore):
        # A unit that is neither true nor predicted counts in no sum.
        hidden = ops.where(seen > 0, prediction, -float("inf"))
        label = ops.where(seen > 0, label, ops.zeros_like(label))
        metric.update_state(label, hidden, example)
    elif isinstance(metric, _BY_UNIT) and _takes_every_unit(metric):
        metric.update_state(label, prediction, seen)
    elif isinstance(metric, keras.metrics.MeanMetricWrapper) and not isinstance(
        metric, _ACROSS_UNITS
    ):
        # It averages over the last axis before it weights.
        metric.update_state(
            ops.expand_dims(label, -1), ops.expand_dims(prediction, -1), seen
        )
    else:
        _say_once(metric.name)
        metric.update_state(label, prediction, ops.min(seen, axis=-1))


def _takes_every_unit(metric: Any) -> bool:
    """Tell whether a metric counts all units, not the best or one of them."""
    chosen = (getattr(metric, "class_id", None), getattr(metric, "top_k", None))
    return chosen == (None, None)


@functools.cache
def _say_once(name: str) -> None:
    warnings.warn(
        f"The metric `{name}` compares the units of an example with each "
        "other, or takes one weight for an example: if a label of an example "
        "is unknown, the whole example is left out. `BinaryAccuracy`, `AUC`, "
        "`F1Score` and errors such as `mae` leave out single labels.",
        stacklevel=2,
    )


def _unmasked(prediction: Any) -> Any:
    """Drop the mask, which Keras applies only to weighted metrics."""
    return prediction if mask_of(prediction) is None else prediction + 0
