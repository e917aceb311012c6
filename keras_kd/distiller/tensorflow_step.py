"""The training and test step on TensorFlow and tf.distribute.

This is the only file of the package's distiller that uses TensorFlow: the
gradient tape, the checks inside the compiled step, and the limits of XLA. A
failed check stops the step before the weights change; `readable` raises an
error with only the check's message.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from typing import Any

import keras
import tensorflow as tf

from keras_kd.core.errors import StaleCacheError
from keras_kd.core.graph_checks import check
from keras_kd.core.graph_checks import marked_error
from keras_kd.core.keras_internals import compiled_loss
from keras_kd.core.keras_internals import compiled_metrics
from keras_kd.core.keras_internals import loss_tracker
from keras_kd.core.keras_internals import mask_of
from keras_kd.core.keras_internals import total_loss
from keras_kd.core.packed_inputs import unpack
from keras_kd.core.replicas import all_sum
from keras_kd.core.replicas import num_replicas
from keras_kd.core.taps import Tapped
from keras_kd.distiller import means
from keras_kd.distiller import unlabelled
from keras_kd.distiller.means import Mean
from keras_kd.distiller.objective import Batch

if TYPE_CHECKING:
    from keras_kd.distiller.distiller import Distiller

OpError = tf.errors.OpError
# The errors of a cache join that runs inside tf.data.
_MISS = re.compile(r"ValueError: (The teacher cache .*?)\n")
_DAMAGE = re.compile(r"StaleCacheError: (The teacher cache.*?)\n")


def train_step(distiller: "Distiller", data: Any) -> dict[str, Any]:
    """Train on one batch: run teacher and student once, update once.

    Args:
        distiller: The Distiller.
        data: `x`, `(x, y)` or `(x, y, sample_weight)`.

    Returns:
        Every logged value by name.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    x, joined = unpack(x)
    batch = Batch(
        y,
        sample_weight,
        None if joined is None else joined.get("ids"),
        distiller._ignored_label,
    )
    taught = distiller.teach(x, joined)
    checked = not distiller.jit_compile  # XLA drops assertions
    before = _check_labels(distiller, y) if checked else []
    # The forward pass changes statistics, as of a batch normalization, and the
    # optimizer counts whatever the gradients are. Both are put back if a check
    # fails; replicas cannot do that in a condition, so there a student with
    # statistics waits until the teacher's outputs are checked.
    changing = [
        *distiller.non_trainable_weights,
        distiller.optimizer.iterations,
    ]
    if tf.distribute.has_strategy():
        if distiller.non_trainable_weights:
            before += _not_nan(taught[1:])
        changing = []
    kept = [(weight, tf.convert_to_tensor(weight)) for weight in changing]
    chosen = _after(before, distiller.student_inputs(x))

    iteration = tf.convert_to_tensor(distiller.optimizer.iterations)
    with tf.GradientTape() as tape:
        tapped = distiller.student_tap(chosen, training=True)
        terms = distiller.objective.terms(taught, tapped, batch, iteration)
        task = _task(distiller, tapped, batch)
        each = [mean for term in terms for mean in term.means]
        objective = distiller.objective.total(
            task, terms, _shares([task, *each]), iteration
        )
        penalty = _penalty(distiller)
        total = objective + penalty / num_replicas()
        scaled = distiller.optimizer.scale_loss(total)
    names = distiller.objective.names
    named = {n: term.total for n, term in zip(names, terms, strict=True)}
    if task is not None:
        named["student_loss"] = task

    weights = distiller.trainable_weights
    gradients = tape.gradient(scaled, weights)
    pairs = list(zip(gradients, weights, strict=True))
    parts = {name: mean.value for name, mean in named.items()}
    parts["loss"] = total
    if not isinstance(distiller.optimizer, keras.optimizers.LossScaleOptimizer):
        # That optimizer expects infinite gradients and skips them.
        parts["gradient"] = _gradient_sum(gradients)
    if checked:
        fine = _check_finite(parts, taught, kept)
        gradients = _after([fine], gradients)
        pairs = list(zip(gradients, weights, strict=True))
        distiller.optimizer.apply_gradients(pairs)
    else:
        objective = _update_if_finite(distiller, parts, pairs, kept, objective)
    _track(distiller, named, objective, penalty, taught, tapped)
    if y is None:
        return {
            metric.name: metric.result()
            for metric in distiller.metrics
            if metric is not compiled_metrics(distiller)
        }
    return distiller.compute_metrics(
        x, y, tapped.predictions, sample_weight=sample_weight
    )


def test_step(distiller: "Distiller", data: Any) -> dict[str, Any]:
    """Evaluate the student on one batch; no teacher, no change.

    Args:
        distiller: The Distiller.
        data: `x`, `(x, y)` or `(x, y, sample_weight)`.

    Returns:
        Every logged value by name.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    x, _ = unpack(x)
    predictions = distiller(x, training=False)
    if compiled_loss(distiller) is not None:
        if y is None:
            raise ValueError(
                "`evaluate` needs labels for `loss`. Received: data "
                "without `y`. Give labels, or compile without `loss`."
            )
        task = unlabelled.for_loss(
            y, predictions, sample_weight, distiller.loss
        )
        # Keras divided the loss by the number of replicas.
        loss = num_replicas() * total_loss(
            distiller, x, task.y, task.predictions, task.sample_weight
        )
        batch = tf.cast(_batch_size(predictions), "float32")
        share = tf.math.divide_no_nan(task.count, task.total)
        loss_tracker(distiller).update_state(loss, sample_weight=batch * share)
    return distiller.compute_metrics(
        x, y, predictions, sample_weight=sample_weight
    )


def _task(distiller: "Distiller", tapped: Tapped, batch: Batch) -> Mean | None:
    """Return the compiled loss of the labelled examples."""
    if compiled_loss(distiller) is None:
        return None
    if batch.y is None:
        if not distiller.objective.needs_task:
            return None
        raise ValueError(
            "`Distiller` needs labels for `loss`. Received: data without "
            "`y`. Give labels, or set alpha=1.0 to learn from the "
            "teacher alone."
        )
    known = unlabelled.for_loss(
        batch.y, tapped.predictions, batch.sample_weight, distiller.loss
    )
    compiled = compiled_loss(distiller)(
        known.y, known.predictions, known.sample_weight
    )
    # Keras divided the loss by the number of replicas.
    return Mean(compiled * num_replicas(), known.count)


def _check_labels(distiller: "Distiller", y: Any) -> list[Any]:
    if y is None or distiller._sparse_classes is None:
        return []
    ignored = distiller._ignored_label
    return [_labels_in_range(y, distiller._sparse_classes, ignored)]


def _check_finite(
    parts: dict[str, Any], taught: Tapped, kept: list[tuple[Any, Any]]
) -> Any:
    """Check that the loss, its terms and the gradient are finite.

    Each step checks only the sum of all; which part it was, or whether the
    teacher's outputs are NaN, is looked for when the check has failed.

    Args:
        parts: Scalars by name.
        taught: The teacher's outputs.
        kept: Weights that get their values back if the check fails.

    Returns:
        A tensor, for `tf.control_dependencies`.
    """
    values = tf.stack([tf.cast(value, "float32") for value in parts.values()])

    def find() -> Any:
        teacher = _after(_put_back(kept), taught[1:])
        each = tf.unstack(_after(_not_nan(teacher), values))
        checks = [
            check(tf.math.is_finite(value), "nan", _non_finite_message([name]))
            for name, value in zip(parts, each, strict=True)
        ]
        return _after(checks, tf.constant(False))

    fine = tf.math.is_finite(tf.reduce_sum(values))
    return tf.cond(fine, lambda: tf.constant(True), find)


def _gradient_sum(gradients: list[Any]) -> Any:
    """Return the sum of all gradients, which is finite if all are.

    A finite loss can have a NaN gradient: a ReLU turns a NaN into 0, but the
    gradient of the weights is a product with the NaN input.
    """
    sums = [
        tf.cast(tf.reduce_sum(getattr(g, "values", g)), "float32")
        for g in gradients
        if g is not None
    ]
    return tf.add_n(sums) if sums else tf.zeros(())


def _penalty(distiller: "Distiller") -> Any:
    """Return the sum of regularization and `add_loss` terms."""
    total = tf.zeros((), "float32")
    for value in distiller.losses:
        total += tf.reduce_sum(tf.cast(value, "float32"))
    return total


def _put_back(kept: list[tuple[Any, Any]]) -> list[Any]:
    return [
        weight.value.assign(value, read_value=False) for weight, value in kept
    ]


def _update_if_finite(
    distiller: "Distiller",
    parts: dict[str, Any],
    pairs: list[Any],
    kept: list[tuple[Any, Any]],
    objective: Any,
) -> Any:
    """Update the weights, but not after a step that is not finite.

    Under XLA a step cannot raise. The logged loss stays NaN until the end of
    the epoch, where `stop_when_nan` raises; until then no step updates.

    Args:
        distiller: The Distiller.
        parts: Scalars by name.
        pairs: Gradients and weights.
        kept: Weights that get their values back.
        objective: The objective, to be logged.

    Returns:
        The objective; NaN if nothing was updated.
    """
    values = [tf.cast(value, "float32") for value in parts.values()]
    so_far = tf.convert_to_tensor(loss_tracker(distiller).total)
    fine = tf.math.is_finite(tf.add_n([*values, so_far]))

    def update() -> Any:
        distiller.optimizer.apply_gradients(pairs)
        return objective

    def hold() -> Any:
        with tf.control_dependencies(_put_back(kept)):
            return tf.constant(float("nan"))

    # Strategies never use XLA, so a condition is allowed here.
    return tf.cond(fine, update, hold)


def _track(
    distiller: "Distiller",
    named: dict[str, Mean],
    objective: Any,
    penalty: Any,
    taught: Tapped,
    tapped: Tapped,
) -> None:
    """Update the logged means, each weighted by its count."""
    trackers = distiller._trackers
    for name, mean in named.items():
        trackers[name].update_state(mean.value, sample_weight=mean.count)
    batch = tf.cast(_batch_size(tapped.predictions), "float32")
    # The objective is this replica's share of the global mean.
    (share,) = _shares([Mean(objective, batch)])
    value = tf.math.divide_no_nan(objective, share)
    loss_tracker(distiller).update_state(value + penalty, sample_weight=batch)
    if "agreement" in trackers:
        teacher = keras.tree.flatten(taught.logits)
        student = keras.tree.flatten(tapped.logits)
        leaves = keras.tree.flatten(tapped.predictions)
        for t, s, leaf in zip(teacher, student, leaves, strict=True):
            mean = means.agreement(t, s, mask_of(leaf))
            trackers["agreement"].update_state(
                mean.value, sample_weight=mean.count
            )


def _batch_size(predictions: Any) -> Any:
    return tf.shape(keras.tree.flatten(predictions)[0])[0]


def _shares(each: list[Mean | None]) -> list[Any]:
    """Return each mean's local count divided by its global count."""
    if num_replicas() == 1:
        return [1.0] * len(each)
    counts = tf.stack(
        [
            tf.zeros(()) if mean is None else tf.cast(mean.count, "float32")
            for mean in each
        ]
    )
    return list(tf.unstack(tf.math.divide_no_nan(counts, all_sum(counts))))


def _not_nan(outputs: Any) -> list[Any]:
    """Check that the teacher's outputs are not NaN; -inf is a mask."""
    message = (
        "The teacher's outputs are NaN for this batch, so training stopped; "
        "the student's weights are those of the last good step. Look for NaN "
        "in the data."
    )
    return [
        check(
            tf.logical_not(tf.reduce_any(tf.math.is_nan(leaf))), "nan", message
        )
        for leaf in keras.tree.flatten(outputs)
        if leaf is not None
    ]


def _labels_in_range(labels: Any, num_classes: int, ignored: Any) -> Any:
    """Check that class labels are below the number of classes.

    -1 and NaN are allowed: they mean no label.
    """
    labels = tf.convert_to_tensor(labels)
    signed = labels.dtype.is_integer and not labels.dtype.is_unsigned
    lowest = -1 if signed else 0
    inside = (labels >= lowest) & (labels < num_classes)
    if labels.dtype.is_floating:
        inside |= (labels == -1) | tf.math.is_nan(labels)
    if ignored is not None:
        inside |= labels == tf.cast(ignored, labels.dtype)
    return check(
        tf.reduce_all(inside),
        "value",
        f"The data needs labels between 0 and {num_classes - 1}, one of the "
        f"student's {num_classes} classes, or -1 for no label. Received: a "
        "label outside. Map the labels, or give both models as many classes "
        "as the data has.",
    )


def _after(checks: list[Any], structure: Any) -> Any:
    """Return `structure` with tensors that depend on the checks."""
    checks = [check for check in checks if check is not None]
    if not checks:
        return structure
    with tf.control_dependencies(checks):
        return tf.nest.map_structure(
            lambda leaf: leaf if leaf is None else tf.identity(leaf), structure
        )


def _non_finite_message(names: list[str]) -> str:
    """Return the error message for loss terms that are NaN or infinite."""
    listed = " and ".join(f"`{name}`" for name in names)
    return (
        f"The loss is not finite: {listed} became NaN or infinite, so "
        "training stopped; the student's weights are those of the last good "
        "step. Lower the learning rate, set `clipnorm`, or look for NaN in "
        "the data."
    )


def stop_when_nan(epoch: int, logs: dict[str, float] | None = None) -> None:
    """Raise at the end of an epoch with a loss that is not finite.

    Under XLA, steps cannot raise.
    """
    del epoch
    bad = [
        name
        for name, value in (logs or {}).items()
        if not name.startswith("val_") and value - value != 0
    ]
    if bad:
        terms = [name for name in bad if name != "loss"]
        raise FloatingPointError(
            f"{_non_finite_message(terms or bad)} Without `jit_compile`, a "
            "fit stops at that step, and names labels that are out of range."
        )


@contextmanager
def readable() -> Iterator[None]:
    """Raise the error of a failed check, without TensorFlow's graph.

    Raises:
        FloatingPointError: If a term of the loss was not finite.
        StaleCacheError: If a shard of the teacher cache is damaged.
        ValueError: If labels were out of range, or an example is not in the
            teacher cache.
    """
    try:
        yield
    except tf.errors.UnknownError as error:
        damaged = _DAMAGE.search(str(error))
        if damaged is None:
            raise
        raise StaleCacheError(damaged[1]) from None
    except tf.errors.InvalidArgumentError as error:
        missed = _MISS.search(str(error))
        if missed:
            raise ValueError(missed[1]) from None
        found = marked_error(error)
        if found is None:
            raise
        raise found from None
