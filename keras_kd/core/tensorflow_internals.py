"""What of TensorFlow this package leans on outside its stable API.

It stands here and nowhere else; `tests/core/test_tensorflow_internals.py`
says what breaks when it is gone.
"""

from typing import Any


def freeze(function: Any) -> Any:
    """Return a traced function with its variables turned into constants.

    TFLite's converter freezes with it. Called functions are inlined.

    Args:
        function: A concrete function.

    Raises:
        ValueError, NotImplementedError: If an operation keeps a variable.
    """
    from tensorflow.python.framework import convert_to_constants

    return convert_to_constants.convert_variables_to_constants_v2(
        function, lower_control_flow=False
    )
