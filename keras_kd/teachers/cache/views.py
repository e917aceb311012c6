"""Augmented views that both teacher and student see.

`augment(x, seed)` makes a view. Its seed depends only on the cache's seed, the
example's key and the number of the view, so a join makes the same view that
the teacher saw when the cache was built.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import xxhash

Augment = Callable[[Any, Any], Any]
_STEP = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio: splitmix64


def seeds(seed: int, keys: np.ndarray, views: np.ndarray) -> np.ndarray:
    """Return the seed of one view of each example: `(batch, 2)` of int32."""
    digest = xxhash.xxh3_64_intdigest
    content = np.empty((len(keys), 3), "<u8")
    content[:, :2] = keys
    content[:, 2] = views
    rows = content.tobytes()
    mixed = [
        digest(rows[start : start + 24], seed % 2**64)
        for start in range(0, len(rows), 24)
    ]
    return np.array(mixed, "<u8").view("<i4").reshape(-1, 2).astype(np.int32)


def draw(number: int, count: int, views: int) -> np.ndarray:
    """Draw a view for each example of a batch; `number` is the seed."""
    start = np.full(count, number, np.int64).view(np.uint64)
    state = start + _STEP * np.arange(1, count + 1, dtype=np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return ((state ^ (state >> np.uint64(31))) % np.uint64(views)).astype(int)


def augment_batch(augment: Augment, x: Any, view_seeds: Any) -> Any:
    """Augment each example of a batch, as a TensorFlow graph."""
    spec = keras.tree.map_structure(
        lambda leaf: tf.TensorSpec(leaf.shape[1:], leaf.dtype), x
    )
    out = signature(augment, spec)
    return tf.map_fn(
        lambda pair: augment(*pair), (x, view_seeds), fn_output_signature=out
    )


def signature(augment: Augment, spec: Any) -> Any:
    """Return the specs of `augment`'s output for one example."""
    function = tf.function(augment).get_concrete_function(
        spec, tf.TensorSpec((2,), tf.int32)
    )
    return keras.tree.map_structure(
        lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype),
        function.structured_outputs,
    )


def maker(augment: Augment) -> Callable[[Any, np.ndarray], Any]:
    """Return a function that augments NumPy batches on the CPU.

    A join augments on the CPU too, and the same operations on the same
    device give the same views.
    """

    @tf.function(reduce_retracing=True)
    def graph(x: Any, view_seeds: Any) -> Any:
        return augment_batch(augment, x, view_seeds)

    def make(x: Any, view_seeds: np.ndarray) -> Any:
        with tf.device("CPU:0"):
            tensors = keras.tree.map_structure(tf.convert_to_tensor, x)
            made = graph(tensors, tf.convert_to_tensor(view_seeds))
        return keras.tree.map_structure(lambda leaf: leaf.numpy(), made)

    return make
