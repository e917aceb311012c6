"""Teacher outputs and example ids that travel with the data, inside `x`.

They cannot travel in `y`: Keras's `class_weight` takes a single tensor there.
"""

from typing import Any
from typing import NamedTuple

import keras

INPUTS = "inputs"
TEACHER = "keras_kd_teacher"


class TopK(NamedTuple):
    """The largest logits of a classifier, as they travel with the data.

    A thousand classes made dense for every batch cost the pipeline more than
    finding them does; the training step, which needs them dense, makes them
    so.

    Attributes:
        classes: `(..., k)` of int32.
        log_probabilities: Those of the classes, `(..., k)`.
        others: What each other class has, `(...)`.
        axis: `(..., classes, 0)`: holds nothing; its shape tells how many
            classes there are.

    Example:
    >>> import numpy as np
    >>> from keras_kd.core.packed_inputs import TopK
    >>> top = TopK(
    ...     np.array([[2]]), np.log([[0.5]]), np.log([0.25]), np.ones((1, 3, 0))
    ... )
    >>> np.exp(top.dense()).tolist()
    [[0.25, 0.25, 0.5]]
    """

    classes: Any
    log_probabilities: Any
    others: Any
    axis: Any

    def dense(self) -> Any:
        """Return log-probabilities of all classes, `(..., classes)`."""
        num_classes, top_k = self.axis.shape[-2], self.classes.shape[-1]
        shape = keras.ops.shape(self.classes)[:-1]
        classes = keras.ops.reshape(self.classes, (-1, 1))
        rows = keras.ops.arange(keras.ops.shape(classes)[0]) // top_k
        rows = keras.ops.cast(rows, classes.dtype)[:, None]
        others = keras.ops.reshape(self.others, (-1, 1))
        logits = keras.ops.scatter_update(
            keras.ops.tile(others, (1, num_classes)),
            keras.ops.concatenate([rows, classes], axis=-1),
            keras.ops.reshape(self.log_probabilities, (-1,)),
        )
        return keras.ops.reshape(logits, (*shape, num_classes))


def pack(x: Any, outputs: dict[str, Any]) -> dict[str, Any]:
    """Put a teacher's outputs beside the inputs they belong to.

    Args:
        x: What the student takes: a tensor or a structure of them.
        outputs: `"logits"`, in the structure of the teacher's outputs, dense
            or `TopK`; `"features"`, layer path to tensor; `"ids"`, which
            example of the data set each is. A key is left out when there is
            none.

    Returns:
        A dict that `unpack` takes apart.

    Example:
    >>> from keras_kd.core.packed_inputs import pack, unpack
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
