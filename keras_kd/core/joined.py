"""Teacher outputs that travel with the data, inside `x`.

They cannot travel in `y`: Keras's `class_weight` takes a single tensor there.
"""

from typing import Any

INPUTS = "inputs"
TEACHER = "keras_kd_teacher"


def pack(x: Any, outputs: dict[str, Any]) -> dict[str, Any]:
    """Put a teacher's outputs beside the inputs they belong to.

    Args:
        x: What the student takes: a tensor or a structure of them.
        outputs: `"logits"`, in the structure of the teacher's outputs, and
            `"features"`, layer path to tensor; a key is left out when there
            is none.

    Returns:
        A dict that `unpack` takes apart.

    Example:
    >>> from keras_kd.core.joined import pack, unpack
    >>> unpack(pack(5, {"logits": 7}))
    (5, {'logits': 7})
    >>> unpack(5)
    (5, None)
    """
    return {INPUTS: x, TEACHER: outputs}


def unpack(x: Any) -> tuple[Any, dict[str, Any] | None]:
    """Take joined data apart.

    Args:
        x: Joined data, or plain inputs.

    Returns:
        The inputs and the teacher's outputs; `None` for plain inputs.
    """
    if isinstance(x, dict) and set(x) == {INPUTS, TEACHER}:
        return x[INPUTS], x[TEACHER]
    return x, None
