"""Checks of values that only the compiled step knows.

A failed check stops the step. TensorFlow reports it as an
`InvalidArgumentError` that shows the graph; the marks around the message let
`marked_error` find it. XLA drops these checks.
"""

import re
from typing import Any

import tensorflow as tf

_MARK = re.compile(r"<keras_kd:(\w+)>(.*?)</keras_kd>", re.DOTALL)
_ERRORS = {"nan": FloatingPointError, "value": ValueError}


def check(condition: Any, error: str, message: str) -> Any:
    """Check a condition in a graph.

    Args:
        condition: A boolean scalar.
        error: `"nan"` for a FloatingPointError, or `"value"` for a
            ValueError.
        message: What the error says.

    Returns:
        The operation, for `tf.control_dependencies`; `None` outside a graph.

    Raises:
        FloatingPointError, ValueError: Outside a graph, if the condition is
            False.
    """
    if tf.executing_eagerly():
        if not condition:
            raise _ERRORS[error](message)
        return None
    text = f"<keras_kd:{error}>{message}</keras_kd>"
    # `tf.debugging.Assert` would put the operation into a conditional branch,
    # which costs more than the check.
    return tf.raw_ops.Assert(condition=condition, data=[text])


def checked(tensor: Any, condition: Any, message: str) -> Any:
    """Return the tensor; using it raises a ValueError without the condition.

    Args:
        tensor: Any tensor.
        condition: A boolean scalar.
        message: What the error says.
    """
    operation = check(condition, "value", message)
    with tf.control_dependencies([] if operation is None else [operation]):
        return tf.identity(tensor)


def marked_error(error: Exception) -> Exception | None:
    """Return the error of a check that failed in a graph, or `None`.

    Args:
        error: What TensorFlow raised.
    """
    found = _MARK.search(str(error))
    if found is None:
        return None
    return _ERRORS[found[1]](found[2].replace("\\'", "'"))
