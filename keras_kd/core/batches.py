"""Iterates over any kind of Keras data set as NumPy batches."""

from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import requirement

Batch = tuple[Any, Any, Any]

_KINDS = (
    "a batched tf.data.Dataset, a keras.utils.PyDataset, an array, or a tuple "
    "(x, y) or (x, y, sample_weight) of arrays"
)


def batches(
    dataset: Any, batch_size: int = 64, *, subject: str = "evaluate"
) -> Iterator[Batch]:
    """Iterate once over a data set as NumPy batches.

    The data set is checked at the call; its values are read during
    iteration, with one batch in memory at a time.

    Args:
        dataset: A batched `tf.data.Dataset` or a `keras.utils.PyDataset`
            that yields `x`, `(x, y)` or `(x, y, sample_weight)`; an array,
            list or dict of arrays (`x` alone); or a tuple of two or three of
            these. A list is one `x` with several inputs, as in Keras.
        batch_size: Examples per batch of arrays, at least 1; data sets keep
            their own. Defaults to 64.
        subject: Class or function to name in error messages.

    Returns:
        An iterator over `(x, y, sample_weight)`; the last two are `None` if
        the data set has none. `x` and `y` keep their structure.

    Raises:
        TypeError: If `dataset` is none of these.
        ValueError: If it is infinite, empty or not batched, or if its parts
            differ in length.

    Example:
    >>> import numpy as np
    >>> from keras_kd.core.batches import batches
    >>> pairs = (np.zeros((5, 2)), np.arange(5))
    >>> [len(y) for x, y, weight in batches(pairs, batch_size=2)]
    [2, 2, 1]
    """
    check_integer(subject, "batch_size", batch_size, low=1)
    if isinstance(dataset, tf.data.Dataset):
        _check_pipeline(dataset, subject)
        steps: Iterator[Any] = iter(dataset)
    elif isinstance(dataset, keras.utils.PyDataset):
        steps = _py_dataset_steps(dataset, subject)
    else:
        steps = _array_steps(dataset, batch_size, subject)
    return _counted(steps, dataset, subject)


def _check_pipeline(dataset: tf.data.Dataset, subject: str) -> None:
    """Refuse infinite, empty and unbatched pipelines without reading them."""
    cardinality = int(dataset.cardinality())
    if cardinality == tf.data.INFINITE_CARDINALITY:
        raise _error(
            subject, "finite", dataset, "Remove `repeat()` or add `take(n)`."
        )
    if cardinality == 0:
        raise _empty(subject, dataset)
    specs = keras.tree.flatten(dataset.element_spec)
    if any(not isinstance(spec, tf.TensorSpec) for spec in specs):
        raise TypeError(
            requirement(
                subject,
                "dataset",
                "made of dense tensors",
                dataset.element_spec,
            )
        )
    ranks = [spec.shape.rank for spec in specs]
    sizes = {spec.shape[0] for spec in specs if spec.shape.rank}
    if 0 in ranks or len(sizes - {None}) > 1:
        raise _error(
            subject, "batched", dataset, "Add `.batch(64)` to the dataset."
        )


def _py_dataset_steps(
    dataset: keras.utils.PyDataset, subject: str
) -> Iterator[Any]:
    count = dataset.num_batches
    if count is None:
        raise _error(subject, "finite", dataset, "Give it a length.")
    return (dataset[index] for index in range(count))


def _array_steps(dataset: Any, batch_size: int, subject: str) -> Iterator[Any]:
    parts = _split(dataset, subject)
    if not isinstance(dataset, (tuple, list, dict)) and not _is_array(dataset):
        raise TypeError(requirement(subject, "dataset", _KINDS, dataset))
    leaves = [part for part in keras.tree.flatten(parts) if part is not None]
    for leaf in leaves:
        if not _is_array(leaf) or len(leaf.shape) == 0:
            raise TypeError(requirement(subject, "dataset", _KINDS, leaf))
    length = _length(leaves, subject, dataset)
    starts = range(0, length, batch_size)

    def cut(start: int) -> Callable[[Any], Any]:
        return lambda leaf: leaf[start : start + batch_size]

    return (_map(cut(start), parts) for start in starts)


def _counted(
    steps: Iterator[Any], dataset: Any, subject: str
) -> Iterator[Batch]:
    """Yield NumPy batches; raise if there were none."""
    seen = 0
    for step in steps:
        batch = _map(_numpy, _split(step, subject))
        leaves = [
            part for part in keras.tree.flatten(batch) if part is not None
        ]
        seen += _length(leaves, subject, dataset)
        yield batch
    if not seen:
        raise _empty(subject, dataset)


def _split(step: Any, subject: str) -> Batch:
    """Split a batch as Keras does: only a tuple contains labels."""
    if not isinstance(step, tuple):
        return step, None, None
    if not 1 <= len(step) <= 3:
        raise ValueError(
            requirement(
                subject,
                "dataset",
                "made of x, (x, y) or (x, y, sample_weight)",
                f"a tuple of {len(step)}",
            )
        )
    return (*step, None, None)[:3]


def _map(function: Callable[[Any], Any], structure: Any) -> Any:
    return keras.tree.map_structure(
        lambda leaf: None if leaf is None else function(leaf), structure
    )


def _numpy(leaf: Any) -> np.ndarray:
    return np.asarray(leaf.numpy() if isinstance(leaf, tf.Tensor) else leaf)


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "__getitem__")


def _length(leaves: list[Any], subject: str, dataset: Any) -> int:
    lengths = sorted({len(leaf) if leaf.ndim else 0 for leaf in leaves})
    if len(lengths) == 1 and lengths[0]:
        return lengths[0]
    if len(lengths) > 1:
        raise ValueError(
            requirement(
                subject,
                "dataset",
                "made of parts of one length",
                f"lengths {', '.join(map(str, lengths))}",
            )
        )
    raise _empty(subject, dataset)


def _empty(subject: str, dataset: Any) -> ValueError:
    return _error(subject, "non-empty", dataset, "It has no examples.")


def _error(
    subject: str, expected: str, dataset: Any, advice: str
) -> ValueError:
    shown = type(dataset).__name__
    if isinstance(dataset, tf.data.Dataset):
        shown = f"{shown} of {dataset.element_spec}"
    return ValueError(requirement(subject, "dataset", expected, shown, advice))
