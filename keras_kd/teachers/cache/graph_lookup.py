"""Finds a batch's stored outputs inside a `tf.data` graph, without Python."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_kd.teachers.cache.store import Store
from keras_kd.teachers.cache.structure import Leaf

# Most bytes of decoded outputs that a join holds in memory.
MOST_BYTES = 64 << 20


def fits(store: Store) -> bool:
    """Tell whether a graph can look up this cache.

    It must hold one view of each example, of numbers or booleans; and all
    its outputs, in float32, must fit into `MOST_BYTES`.
    """
    one = store.encoding.decode(np.zeros(1, store.encoding.record))
    size = sum(leaf.nbytes for leaf in keras.tree.flatten(one))
    return (
        store.identity.views == 1
        and store.identity.augment is None
        and all(map(_has_bytes, keras.tree.flatten(store.identity.example)))
        and 0 < len(store) * size <= MOST_BYTES
    )


def _has_bytes(leaf: Leaf) -> bool:
    dtype = tf.as_dtype(leaf.dtype)
    return dtype.is_integer or dtype.is_floating or dtype.is_bool


class GraphLookup:
    """Holds all outputs of a cache in memory, and gathers those of a batch.

    TensorFlow cannot compute the cache's own keys. So Python finds an example
    when it comes for the first time, and a table then remembers its position
    under two 64-bit fingerprints of its bytes that TensorFlow can compute:
    one finds the entry, the other confirms it. A batch with an example that
    is not confirmed goes to Python again. So examples whose first
    fingerprints are equal are found slowly, but are not mixed up.

    Args:
        store: An opened cache that `fits`.
        find: Returns the positions of a NumPy batch, or raises an error that
            names a missing example.
    """

    def __init__(
        self, store: Store, find: Callable[[list[np.ndarray]], np.ndarray]
    ) -> None:
        everything = np.arange(len(store))
        outputs = store.read(everything, np.zeros_like(everything))
        with tf.device("CPU:0"):
            # A leaf without elements is there for its shape: of a million
            # rows and a thousand classes, TensorFlow would allocate 4 GB.
            self._outputs = keras.tree.map_structure(
                lambda leaf: tf.constant(leaf if leaf.size else leaf[:1]),
                outputs,
            )
            self._table = tf.lookup.experimental.MutableHashTable(
                tf.int64, tf.int64, [-1, 0], experimental_is_anonymous=True
            )
        self._find = find

    def __call__(self, leaves: list[tf.Tensor]) -> dict[str, Any]:
        """Return the outputs and ids of a batch in a graph."""
        first, second = _fingerprints(leaves)
        entries = tf.ensure_shape(self._table.lookup(first), (None, 2))
        position, confirmation = tf.unstack(entries, axis=1)
        known = (position >= 0) & (confirmation == second)
        positions = tf.cond(
            tf.reduce_all(known),
            lambda: position,
            lambda: tf.ensure_shape(
                tf.numpy_function(
                    self._learn,
                    [first, second, *leaves],
                    tf.int64,
                    stateful=False,
                ),
                (None,),
            ),
        )
        found = keras.tree.map_structure(
            lambda values: (
                tf.gather(values, positions)
                if values.shape.num_elements()
                else tf.repeat(values, tf.size(positions), axis=0)
            ),
            self._outputs,
        )
        return found | {"ids": positions}

    def _learn(
        self, first: np.ndarray, second: np.ndarray, *leaves: np.ndarray
    ) -> np.ndarray:
        positions = self._find(list(leaves))
        self._table.insert(first, np.stack([positions, second], axis=1))
        return positions


def _fingerprints(leaves: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Return two 64-bit fingerprints of each example."""
    content = [_bytes(leaf) for leaf in leaves]
    if not all(leaf.shape[1:].is_fully_defined() for leaf in leaves):
        # Sizes that differ from batch to batch are part of the content.
        sizes = tf.concat([tf.shape(leaf)[1:] for leaf in leaves], axis=0)
        batch = tf.shape(leaves[0])[0]
        content.append(_bytes(tf.tile(sizes[None], (batch, 1))))
    inverted = [tf.bitwise.invert(part) for part in content]
    return _fingerprint(content), _fingerprint(inverted)


def _fingerprint(content: list[tf.Tensor]) -> tf.Tensor:
    parts = [tf.fingerprint(part) for part in content]
    if len(parts) > 1:
        parts = [tf.fingerprint(tf.concat(parts, axis=1))]
    return tf.bitcast(parts[0], tf.int64)


def _bytes(leaf: tf.Tensor) -> tf.Tensor:
    if leaf.dtype == tf.bool:
        return tf.cast(leaf, tf.uint8)
    return leaf if leaf.dtype == tf.uint8 else tf.bitcast(leaf, tf.uint8)
