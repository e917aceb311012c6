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
    """Batch arrays of one length.

    Only row numbers are shuffled and only one batch at a time is scaled, so
    that a set of uint8 images stays at one byte a value. The order follows
    from `seed` (and, where it was set, from `keras.utils.set_random_seed`);
    each pass has its own.

    Args:
        arrays: `(x,)`, `(x, y)` or `(x, y, sample_weight)`; `x` and `y` may
            be structures of arrays.
        batch_size: Examples a batch.
        seed: Seed of the order; `None` keeps the order of the arrays.
        scale: Factor that `x` is multiplied with, as float32; `None` leaves
            `x` as it is.
        drop_remainder: Whether to drop a last batch that is not full.

    Returns:
        A `tf.data.Dataset` of tuples like `arrays`, or of `x` alone.
    """
    # Held on the CPU, where tf.data reads: with a GPU, constants go there.
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
