"""Checks of values that are known only while a step runs.

TensorFlow reports a failed check as an error that shows the graph; the mark
around the message lets a `fit` raise the message alone. XLA drops the checks.
"""

from typing import Any

import tensorflow as tf


def assertion(condition: Any, error: str, message: str) -> Any:
    """Return an operation that fails unless the condition is true.

    Args:
        condition: A boolean scalar.
        error: The kind of error that a `Distiller` raises.
        message: The error's text.
    """
    text = f"<keras_kd:{error}>{message}</keras_kd>"
    return tf.debugging.Assert(condition, [text])


def ensured(tensor: Any, condition: Any, error: str, message: str) -> Any:
    """Return the tensor once the condition has been checked."""
    check = assertion(condition, error, message)
    with tf.control_dependencies([] if check is None else [check]):
        return tf.identity(tensor)
