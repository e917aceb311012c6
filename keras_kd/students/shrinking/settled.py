"""Keeps layers whose state comes from data or settings, not from widths."""

from typing import Any

from keras_kd.core.keras_internals import flatten_layers
from keras_kd.core.keras_internals import own_trainable_variables
from keras_kd.core.layer_state import copy_state
from keras_kd.students.shrinking.layer_kinds import follows_input
from keras_kd.students.shrinking.layer_kinds import is_kind

# Layers whose trainable weights start from their settings.
_SETTLED = {"STFTSpectrogram"}


def has_settled_state(operation: Any) -> bool:
    """Tell whether a layer's state comes from data or settings, not widths.

    It may be a vocabulary, a mean, the kernels of a spectrogram, or weights
    that are never trained.
    """
    if hasattr(operation, "adapt") or is_kind(operation, _SETTLED):
        return True
    if not getattr(operation, "weights", []) or follows_input(operation):
        return False
    return not any(
        own_trainable_variables(layer) for layer in flatten_layers(operation)
    )


def copied(
    operation: Any, config: dict, new: list[tuple[int | None, ...]]
) -> Any:
    """Copy a layer with its state.

    Args:
        operation: The teacher's layer.
        config: Its config.
        new: Shapes of its inputs in the student, without the batch.
    """
    if "trainable" in config:
        config["trainable"] = operation.trainable
    clone = type(operation).from_config(config)
    if operation.weights:
        clone.build((None, *new[0]))
    copy_state(operation, clone)
    return clone
