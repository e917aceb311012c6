"""The private names of TensorFlow that this package relies on.

They are used only here; `tests/core/test_tensorflow_internals.py` says what
breaks when a name disappears.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def freeze(function: Any) -> Any:
    """Return a traced function with its variables turned into constants.

    TFLite's converter freezes functions the same way. Called functions are
    inlined.

    Args:
        function: A concrete function.

    Raises:
        ValueError, NotImplementedError: If an operation keeps a variable.
    """
    from tensorflow.python.framework import convert_to_constants

    # A copy, which cannot be serialized and is not needed; TensorFlow warns.
    function.graph.clear_collection("table_initializer")
    return convert_to_constants.convert_variables_to_constants_v2(
        function, lower_control_flow=False
    )


@contextmanager
def variables_of_no_trace() -> Iterator[None]:
    """Let variables be made as if no function were being traced.

    TensorFlow traces a function that makes variables twice. Under a
    distribution strategy nothing changes.
    """
    import tensorflow as tf

    def make(create: Any, **arguments: Any) -> Any:
        arguments["experimental_enable_variable_lifting"] = False
        return create(**arguments)

    if tf.distribute.has_strategy():
        yield
        return
    with tf.init_scope(), tf.variable_creator_scope(make):
        yield
