"""Checks before training that teacher, student and loss fit together."""

from typing import Any

import keras

from keras_kd.core.checks import show
from keras_kd.core.output_kinds import CLASS_KINDS
from keras_kd.core.taps import input_spec


def check_inputs(teacher: keras.Model, student: keras.Model) -> None:
    """Check that both models can take the same data.

    Dict inputs may differ in their keys: each model takes its own keys.

    Raises:
        ValueError: If structures or shapes do not match.
    """
    specs = {
        role: _named(input_spec(model, subject="Distiller", role=role))
        for role, model in (("teacher", teacher), ("student", student))
    }
    both = specs["teacher"], specs["student"]
    shared = set(both[0]) & set(both[1])
    keyed = all(isinstance(key, str) for spec in both for key in spec)
    alike = all(_fits(both[0][key], both[1][key]) for key in shared)
    if not alike or (set(both[0]) != set(both[1]) and not keyed):
        raise ValueError(
            "`Distiller` needs teacher and student to take the same inputs. "
            f"Received: teacher `{teacher.name}` takes {show(both[0])}, "
            f"student `{student.name}` takes {show(both[1])}. "
            + (
                "Say which part of x each takes with `student_input=` and "
                "`teacher_input=`: a key, or a function of x."
                if len(both[0]) != len(both[1])
                else "Put a resizing or rescaling layer at the front of one "
                "of them."
            )
        )


def check_replicas(student: keras.Model, strategy: Any) -> None:
    """Check that the student was created in the strategy's scope.

    Raises:
        ValueError: If its variables were created outside the scope.
    """
    if strategy.num_replicas_in_sync == 1:
        return
    for variable in student.variables:
        if not hasattr(variable.value, "values"):
            raise ValueError(
                "`Distiller` needs a student made in the same "
                "`strategy.scope()` as itself. Received: student "
                f"`{student.name}`, whose variable `{variable.path}` is on "
                "one device only. Build the student inside the scope."
            )


# From where on an output counts as true.
_THRESHOLDS = {"binary_logits": 0.0, "binary_probabilities": 0.5}


def check_loss(
    loss: Any, kinds: list[str | None], student: keras.Model
) -> None:
    """Check that the compiled loss expects the kind of the student's outputs.

    A cross-entropy that mistakes logits for probabilities trains a broken
    model without any error.

    Args:
        loss: The `loss` given to `compile`.
        kinds: The kind of each of the student's outputs.
        student: The student, for its name.

    Raises:
        ValueError: If a cross-entropy and an output do not match.
    """
    losses = keras.tree.flatten(loss)
    if len(losses) == 1:
        losses = losses * len(kinds)
    if isinstance(loss, dict) or len(losses) != len(kinds):
        # Keras matches these losses by name, so they can only be checked if
        # all outputs are of the same kind.
        losses = losses if len(set(kinds)) == 1 else []
        kinds = kinds[:1] * len(losses)
    for item, kind in zip(losses, kinds, strict=True):
        from_logits = expects_logits(item)
        if from_logits is None or kind not in CLASS_KINDS:
            continue
        if from_logits != kind.endswith("logits"):
            what = "logits" if kind.endswith("logits") else "probabilities"
            raise ValueError(
                f"`compile` needs a loss that takes {what}, which the student "
                f"`{student.name}` returns. Received: loss={show(item)} with "
                f"from_logits={from_logits}. Use "
                f"`from_logits={not from_logits}`, as in `keras.losses."
                "SparseCategoricalCrossentropy(from_logits="
                f"{not from_logits})`."
            )


def with_decisions(metrics: Any, kinds: dict[Any, str | None]) -> Any:
    """Return metrics whose accuracies suit outputs of two classes or labels.

    By the name "accuracy" Keras counts one unit above 0.5 as true, but a
    logit is true above 0; of several units it compares the largest, but each
    label is true or false.

    Args:
        metrics: The `metrics` or `weighted_metrics` given to `compile`.
        kinds: The kind of each of the student's outputs, by its name or
            index.

    Returns:
        The same structure, with a `BinaryAccuracy` of the same name for the
        name of an accuracy of such an output.
    """
    several = [*kinds.values()]
    if isinstance(metrics, dict):
        only = several[0] if len(several) == 1 else None
        return {
            key: _decided(each, kinds.get(key, only))
            for key, each in metrics.items()
        }
    if len(set(several)) == 1:
        return _decided(metrics, several[0])
    if isinstance(metrics, (list, tuple)) and len(metrics) == len(several):
        pairs = zip(metrics, several, strict=True)
        return [_decided(each, kind) for each, kind in pairs]
    return metrics


def _decided(metrics: Any, kind: str | None) -> Any:
    threshold = _THRESHOLDS.get(str(kind))
    if threshold is None or metrics is None:
        return metrics
    return keras.tree.map_structure(
        lambda each: (
            keras.metrics.BinaryAccuracy(each, threshold=threshold)
            if each in ("accuracy", "acc", "binary_accuracy")
            else each
        ),
        metrics,
    )


def expects_logits(loss: Any) -> bool | None:
    """Tell whether a cross-entropy takes logits; `None` for other losses."""
    if loss is None:
        return None
    resolved = keras.losses.get(loss)
    name = getattr(resolved, "__name__", type(resolved).__name__)
    if "crossentropy" not in name.lower():
        return None
    if not isinstance(resolved, keras.losses.Loss):
        known = resolved in (
            keras.losses.binary_crossentropy,
            keras.losses.categorical_crossentropy,
            keras.losses.sparse_categorical_crossentropy,
        )
        return False if known else None
    if type(resolved).__module__.split(".")[0] != "keras":
        return None
    return bool(resolved.get_config().get("from_logits", False))


def sparse_labels(loss: Any) -> tuple[bool, Any]:
    """Return whether a loss takes class numbers, and the class it ignores."""
    if loss is None or keras.tree.is_nested(loss):
        return False, None
    if loss in ("crossentropy", "ce"):
        return False, None
    resolved = keras.losses.get(loss)
    sparse = resolved is keras.losses.sparse_categorical_crossentropy
    if isinstance(resolved, keras.losses.SparseCategoricalCrossentropy):
        return True, resolved.get_config().get("ignore_class")
    return sparse, None


def _named(spec: Any) -> dict[Any, tuple[int | None, ...]]:
    if isinstance(spec, dict):
        return {key: tuple(tensor.shape) for key, tensor in spec.items()}
    return {
        index: tuple(tensor.shape)
        for index, tensor in enumerate(keras.tree.flatten(spec))
    }


def _fits(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return len(one) == len(other) and all(
        a is None or b is None or a == b
        for a, b in zip(one[1:], other[1:], strict=True)
    )
