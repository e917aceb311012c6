"""What models say about each example, from one pass over the data."""

import heapq
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

from keras_kd.core.batches import batches
from keras_kd.core.checks import requirement
from keras_kd.core.taps import Tap
from keras_kd.evaluation.classification_metrics import log_softmax
from keras_kd.evaluation.runners import Runner
from keras_kd.evaluation.runners import open_runner
from keras_kd.reporting.counting import distance

NUM_DISAGREEMENTS = 8
AnyModel: TypeAlias = keras.Model | str | os.PathLike[str]


@dataclass(frozen=True)
class Disagreement:
    """An example on which teacher and student disagree.

    Attributes:
        index: Its place in the data, from 0.
        distance: Share of probability that they place differently.
        x: The inputs, without the batch axis.
        label: Its class, or `None` without labels.
        teacher: The teacher's probabilities, `(classes,)`.
        student: The student's probabilities, `(classes,)`.
    """

    index: int
    distance: float
    x: Any
    label: int | None
    teacher: np.ndarray
    student: np.ndarray


@dataclass(frozen=True)
class Predictions:
    """What each model chose, and how sure it was.

    Attributes:
        num_classes: Number of classes.
        labels: The right classes, `(examples,)`, or `None` without labels.
        choices: Each model's choices, `(examples,)`.
        confidences: The probability of each choice, `(examples,)`.
        disagreements: The examples on which teacher and student disagree
            most, the worst first.
    """

    num_classes: int
    labels: np.ndarray | None
    choices: dict[str, np.ndarray]
    confidences: dict[str, np.ndarray]
    disagreements: tuple[Disagreement, ...]


def predict(
    models: Mapping[str, AnyModel],
    dataset: Any,
    student: str,
    output: str | None = None,
) -> Predictions:
    """Run every model once on every batch.

    Examples of weight 0 are padding and left out.

    Args:
        models: The models or their files; the first one is the teacher.
        dataset: What `keras_kd.evaluate` takes.
        student: The model that is compared with the teacher.
        output: Kind of the outputs, if a model does not tell.

    Raises:
        ValueError: If a model returns something else than one class for each
            example, or the models differ in their classes.
    """
    runners: dict[str, Runner] = {}
    try:
        for name, model in models.items():
            runners[name] = open_runner(model, output=output)
        _check_kinds(runners)
        return _collect(runners, dataset, student)
    finally:
        for runner in runners.values():
            runner.close()


def saliency(
    model: keras.Model, x: Any, choices: np.ndarray, output: str | None = None
) -> list[np.ndarray | None]:
    """Return gradient times input of the logits that a model chose.

    Args:
        model: A classifier.
        x: A batch of inputs.
        choices: The class whose logit is explained, `(batch,)`.
        output: Kind of the output, if the model does not tell.

    Returns:
        One array like each input, in the order of `keras.tree.flatten`;
        `None` for inputs that are no floats, and so have no gradient.
    """
    tap = Tap(
        model, output_kind=output, subject="report", role="model", strict=False
    )
    tensors = keras.tree.map_structure(tf.constant, x)
    leaves = keras.tree.flatten(tensors)
    floats = [leaf for leaf in leaves if leaf.dtype.is_floating]
    with tf.GradientTape() as tape:
        tape.watch(floats)
        logits = keras.tree.flatten(tap(tensors).logits)[0]
        chosen = tf.gather(logits, tf.constant(choices), batch_dims=1)
    gradients = iter(tape.gradient(chosen, floats) if floats else ())
    found: list[np.ndarray | None] = []
    for leaf in leaves:
        slope = next(gradients) if leaf.dtype.is_floating else None
        found.append(None if slope is None else (slope * leaf).numpy())
    return found


def _check_kinds(runners: Mapping[str, Runner]) -> None:
    """Settle what the outputs are; refuse other outputs than classes."""
    for _ in range(2):
        for one in runners.values():
            for other in runners.values():
                one.settle(other.kind)
    for name, runner in runners.items():
        runner.check()
        kind = str(runner.kind)
        several = kind.startswith("binary") and (runner.units or 1) > 1
        if several or kind in ("numbers", "embedding"):
            raise ValueError(
                requirement(
                    "report",
                    "models",
                    "classifiers, of one class for each example",
                    f"{name!r}, which returns {kind}",
                    "Leave out `models`: the page then shows what "
                    "`evaluations` tells.",
                )
            )


def _collect(
    runners: Mapping[str, Runner], dataset: Any, student: str
) -> Predictions:
    teacher = next(iter(runners))
    choices: dict[str, list[np.ndarray]] = {name: [] for name in runners}
    confidences: dict[str, list[np.ndarray]] = {name: [] for name in runners}
    labels: list[np.ndarray] = []
    worst: list[Disagreement] = []
    seen = classes = 0
    for x, y, weights in batches(dataset, subject="report"):
        found = {
            name: _probabilities(name, runner.logits(x))
            for name, runner in runners.items()
        }
        shapes = {name: rows.shape for name, rows in found.items()}
        if len(set(shapes.values())) > 1:
            raise ValueError(
                requirement("report", "models", "of the same classes", shapes)
            )
        length, classes = found[teacher].shape
        kept = _kept(weights, length)
        for name, rows in found.items():
            choices[name].append(rows.argmax(-1)[kept])
            confidences[name].append(rows.max(-1)[kept])
        label = None if y is None else _classes(y, kept, classes)
        if label is not None:
            labels.append(label[kept])
        gaps = np.where(kept, distance(found[teacher], found[student]), -1.0)
        top = [
            Disagreement(
                index=seen + int(i),
                distance=float(gaps[i]),
                x=keras.tree.map_structure(lambda leaf, i=i: leaf[i], x),
                label=None if label is None else int(label[i]),
                teacher=found[teacher][i],
                student=found[student][i],
            )
            for i in np.argsort(-gaps, kind="stable")[:NUM_DISAGREEMENTS]
            if gaps[i] > 0
        ]
        worst = heapq.nlargest(
            NUM_DISAGREEMENTS, worst + top, key=lambda one: one.distance
        )
        seen += length
    return Predictions(
        num_classes=classes,
        labels=np.concatenate(labels) if labels else None,
        choices={k: np.concatenate(v) for k, v in choices.items()},
        confidences={k: np.concatenate(v) for k, v in confidences.items()},
        disagreements=tuple(worst),
    )


def _probabilities(name: str, logits: np.ndarray) -> np.ndarray:
    if logits.ndim != 2 or not (logits < np.inf).all():
        raise ValueError(
            requirement(
                "report",
                "models",
                "classifiers with finite outputs (batch, classes)",
                f"{name!r}, with outputs {logits.shape}",
                "Leave out `models`: the page then shows what `evaluations` "
                "tells.",
            )
        )
    return np.exp(log_softmax(logits))


def _kept(weights: Any, length: int) -> np.ndarray:
    if weights is None:
        return np.ones(length, bool)
    return np.any(np.reshape(weights, (length, -1)), axis=-1)


def _classes(y: Any, kept: np.ndarray, classes: int) -> np.ndarray:
    """Return class numbers from labels, or from rows of probabilities."""
    labels = np.asarray(keras.tree.flatten(y)[0])
    length = len(kept)
    if labels.shape == (length, classes):
        return labels.argmax(-1)
    rows = labels.reshape(-1)
    outside = rows[:0]
    if rows.shape == (length,):
        outside = rows[kept & ~((rows >= 0) & (rows < classes))]
    if rows.shape != (length,) or outside.size:
        raise ValueError(
            requirement(
                "report",
                "dataset",
                f"with a label from 0 to {classes - 1}, or a row of {classes} "
                "probabilities, for each example",
                outside[0].item() if outside.size else labels.shape,
            )
        )
    return rows.astype(int)
