"""Adds example numbers to a data set."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_kd.core.checks import requirement
from keras_kd.core.packed_inputs import pack


def number_examples(dataset: Any, *, batched: bool = True) -> Any:
    """Number the examples, for losses that remember each example.

    The numbers travel inside x. Call this before the data is shuffled,
    repeated or augmented, so that an example has the same number in every
    epoch. Data joined to a `TeacherCache` already has numbers.

    Args:
        dataset: A `tf.data.Dataset`, or arrays `x`, `(x, y)` or
            `(x, y, sample_weight)`.
        batched: Whether a `tf.data.Dataset` is batched. Defaults to True.

    Returns:
        The numbered data for a `Distiller`: a data set, or arrays to pass as
        `fit(*data)`. Numbers are int64 and start at 0.

    Raises:
        TypeError: If `dataset` is of another type.

    Example:
    >>> import keras_kd
    >>> import numpy as np
    >>> x, y = keras_kd.data.number_examples((np.ones((3, 4)), np.zeros(3)))
    >>> print(x["keras_kd_teacher"]["ids"])
    [0 1 2]
    """
    if isinstance(dataset, tf.data.Dataset):
        return dataset.scan(
            np.int64(0),
            lambda first, element: _numbered(first, element, batched),
        )
    if isinstance(dataset, (tuple, np.ndarray, dict)):
        x, *rest = dataset if isinstance(dataset, tuple) else (dataset,)
        count = len(keras.tree.flatten(x)[0])
        packed = pack(x, {"ids": np.arange(count)})
        return (packed, *rest) if isinstance(dataset, tuple) else packed
    raise TypeError(
        requirement(
            "number_examples",
            "dataset",
            "a tf.data.Dataset or arrays",
            dataset,
            "Number a PyDataset or generator in its own `__getitem__`.",
        )
    )


def _numbered(first: Any, element: Any, batched: bool) -> Any:
    """Return the first number of the next element, and the numbered one."""
    x, *rest = element if isinstance(element, tuple) else (element,)
    leaf = keras.tree.flatten(x)[0]
    size = tf.shape(leaf, tf.int64)[0] if batched else tf.ones((), tf.int64)
    ids = first + tf.range(size)
    if batched:
        ids.set_shape(leaf.shape[:1])
    else:
        ids = first
    packed = pack(x, {"ids": ids})
    return first + size, (packed, *rest) if rest else packed
