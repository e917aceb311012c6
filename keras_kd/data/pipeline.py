"""Arrays in memory as batched, scaled, deterministically shuffled pipelines."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


def pipeline(
    arrays: tuple[Any, ...],
    *,
    batch_size: int,
    seed: int | None = None,
    scale: float | None = None,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """Batch arrays of equal length.

    Only row numbers are shuffled and only one batch at a time is scaled, so
    uint8 images take one byte per value in memory. The order depends on
    `seed` (and on `keras.utils.set_random_seed` if it was called); each pass
    has a different order.

    Args:
        arrays: `(x,)`, `(x, y)` or `(x, y, sample_weight)`; `x` and `y` may
            be structures of arrays.
        batch_size: Examples per batch.
        seed: Seed of the order; `None` keeps the order of the arrays.
        scale: Factor for `x`, which becomes float32; `None` leaves `x`
            unchanged.
        drop_remainder: Whether to drop a last batch that is not full.

    Returns:
        A `tf.data.Dataset` of tuples like `arrays`, or of `x` alone.
    """
    # tf.data reads on the CPU; on a machine with a GPU, constants would
    # otherwise be placed on the GPU.
    with tf.device("CPU:0"):
        tensors = keras.tree.map_structure(tf.constant, arrays)
    length = len(keras.tree.flatten(arrays)[0])
    rows = tf.data.Dataset.range(length)
    if seed is not None:
        rows = rows.shuffle(length, seed=seed, reshuffle_each_iteration=True)

    def pick(chosen: tf.Tensor) -> Any:
        x, *rest = keras.tree.map_structure(
            lambda tensor: tf.gather(tensor, chosen), tensors
        )
        if scale is not None:
            x = keras.tree.map_structure(
                lambda leaf: tf.cast(leaf, tf.float32) * np.float32(scale), x
            )
        return (x, *rest) if rest else x

    return (
        rows.batch(batch_size, drop_remainder=drop_remainder)
        .map(pick, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
    )
