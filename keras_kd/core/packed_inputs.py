"""Packs teacher outputs and example ids into the `x` of a data set.

They cannot go into `y`: for `class_weight` Keras needs a single tensor there.
"""

from typing import Any
from typing import NamedTuple

import keras

INPUTS = "inputs"
TEACHER = "keras_kd_teacher"
SOURCE = "source:"


class TopK(NamedTuple):
    """The largest log-probabilities of a classifier, in sparse form.

    With a thousand classes, making dense batches would cost the input
    pipeline more than looking them up. So the data stays sparse, and the
    training step calls `dense`.

    Attributes:
        classes: The k likeliest classes, `(..., k)`, int32.
        log_probabilities: Their log-probabilities, `(..., k)`.
        others: The log-probability of each other class, `(...)`.
        axis: An empty array `(..., classes, 0)`; its shape tells the number
            of classes.

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
    """Pack a teacher's outputs together with their inputs.

    Args:
        x: The student's input: a tensor or a structure of tensors.
        outputs: A dict with any of the keys `"logits"`, in the structure of
            the teacher's outputs, dense or `TopK`; `"features"`, layer path
            to tensor; `"ids"`, the number of each example in the data set;
            and a name that starts with `SOURCE` and says which teacher it
            is, for an empty array `(batch, 0)`: only the name counts.

    Returns:
        A dict that `unpack` unpacks. Lists of outputs become tuples: a
        `tf.data` pipeline stacks a list of equal tensors and refuses others.

    Example:
    >>> from keras_kd.core.packed_inputs import pack, unpack
    >>> unpack(pack(5, {"logits": 7}))
    (5, {'logits': 7})
    >>> unpack(5)
    (5, None)
    """
    return {INPUTS: x, TEACHER: keras.tree.lists_to_tuples(outputs)}


def unpack(x: Any) -> tuple[Any, dict[str, Any] | None]:
    """Unpack joined data.

    Args:
        x: Joined data, or plain inputs.

    Returns:
        The inputs and the teacher's outputs; `None` for plain inputs.
    """
    if isinstance(x, dict) and set(x) == {INPUTS, TEACHER}:
        return x[INPUTS], x[TEACHER]
    return x, None
