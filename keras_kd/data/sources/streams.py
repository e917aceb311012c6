"""Examples that are read in one order and chosen by their numbers."""

import numpy as np
import tensorflow as tf

# Examples among which a stream is shuffled.
SHUFFLED = 2048


def chosen(
    examples: tf.data.Dataset, rows: np.ndarray, count: int
) -> tf.data.Dataset:
    """Keep some examples of a data set.

    Args:
        examples: Unbatched examples in a fixed order.
        rows: Numbers of those to keep, ascending.
        count: Number of all examples.
    """
    if len(rows) == count:
        return examples
    mask = np.zeros(count, bool)
    mask[rows] = True
    with tf.device("CPU:0"):
        kept = tf.constant(mask)
    numbered = examples.enumerate().take(int(rows[-1]) + 1 if len(rows) else 0)
    return numbered.filter(lambda i, _: kept[i]).map(lambda _, pair: pair)


def shuffled(
    examples: tf.data.Dataset, count: int, seed: int | None
) -> tf.data.Dataset:
    """Shuffle examples in a bounded buffer, anew in each pass."""
    if seed is None:
        return examples
    return examples.shuffle(min(count, SHUFFLED), seed=seed)
