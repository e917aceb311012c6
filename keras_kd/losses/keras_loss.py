"""Wraps the losses of `keras.distillation`."""

import warnings
from typing import Any

import keras
from keras import ops

from keras_kd.losses.base import DistillationLoss

_Logits = keras.distillation.LogitsDistillation
_Features = keras.distillation.FeatureDistillation


def is_keras_loss(value: Any) -> bool:
    """Tell whether `value` is a loss instance of `keras.distillation`."""
    return isinstance(value, keras.distillation.DistillationLoss)


@keras.saving.register_keras_serializable("keras_kd")
class KerasLoss(DistillationLoss):
    """A loss of `keras.distillation` for this package's `Distiller`.

    It lets losses written for `keras.distillation` be used unchanged; the
    mean over a batch equals what their `compute_loss` returns.
    `LogitsDistillation` and `FeatureDistillation` are computed per example,
    so sample weights and masks count; a loss of another class gives every
    example the batch's value.

    Args:
        loss: The loss instance of `keras.distillation`.
        **kwargs: Those of `DistillationLoss`.

    Shapes:
        teacher_outputs, student_outputs: logits `(batch, ..., classes)`, or
            the outputs of the layers.

    Returns:
        `(batch,)`, float32.

    Raises:
        ValueError: If only one of the two layer names is given, which
            `keras.distillation` ignores.

    Example:
    >>> import keras
    >>> import keras_kd
    >>> loss = keras_kd.losses.KerasLoss(keras.distillation.LogitsDistillation(
    ...     temperature=2.0, loss=keras.losses.KLDivergence()))
    >>> values = loss([[4.0, 0.0, -2.0]], [[1.0, 1.0, 0.0]])
    >>> print(f"{float(values[0]):.4f}")
    1.8190
    """

    def __init__(self, loss: Any, **kwargs: Any) -> None:
        if isinstance(loss, dict):
            loss = keras.saving.deserialize_keras_object(loss)
        layers = {
            f"{role}_layer": getattr(loss, f"{role}_layer_name", None)
            for role in ("teacher", "student")
        }
        kwargs = {k: v for k, v in layers.items() if v is not None} | kwargs
        kwargs.setdefault("name", _default_name(loss))
        named = kwargs.get("teacher_layer") or kwargs.get("student_layer")
        self.reads = "layers" if named else "logits"
        super().__init__(**kwargs)
        self.loss = loss
        self.kind = "feature" if named else "logit"
        self.uses_batch = not isinstance(loss, (_Logits, _Features))
        if _is_default_kd(loss):
            warnings.warn(
                "`LogitsDistillation` with its default loss compares raw "
                "logits and is not knowledge distillation. Use "
                "`keras_kd.losses.SoftTargets` or pass "
                "`loss=keras.losses.KLDivergence()`.",
                stacklevel=2,
            )

    def call(
        self, teacher_outputs: Any, student_outputs: Any, labels: Any = None
    ) -> Any:
        """Return the loss of each example and position."""
        if self.uses_batch:
            value = self.loss.compute_loss(teacher_outputs, student_outputs)
            first = keras.tree.flatten(student_outputs)[0]
            return ops.broadcast_to(value, (ops.shape(first)[0],))
        function = self.loss.loss
        temperature = getattr(self.loss, "temperature", 1.0)
        teacher_outputs = teacher_outputs / temperature
        student_outputs = student_outputs / temperature
        scale = 1.0
        if isinstance(self.loss, _Logits) and isinstance(
            function, keras.losses.KLDivergence
        ):
            teacher_outputs = ops.softmax(teacher_outputs, axis=-1)
            student_outputs = ops.softmax(student_outputs, axis=-1)
            scale = temperature**2
        if isinstance(function, keras.losses.Loss):
            function = function.call
        return scale * function(teacher_outputs, student_outputs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {
            "loss": keras.saving.serialize_keras_object(self.loss)
        }


def _is_default_kd(loss: Any) -> bool:
    return isinstance(loss, _Logits) and (
        loss.loss is keras.losses.kl_divergence
    )


def _default_name(loss: Any) -> str:
    names = {_Logits: "logits_distillation", _Features: "feature_distillation"}
    return names.get(type(loss), type(loss).__name__.lower())
