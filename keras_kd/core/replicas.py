"""What the replicas of a `tf.distribute` strategy tell each other.

Outside of a strategy, and while shapes are worked out, there is one replica.
"""

from typing import Any

import tensorflow as tf


def num_replicas() -> int:
    """Return how many replicas train in step."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def all_sum(tensor: Any) -> Any:
    """Add up a tensor over the replicas."""
    context = _context()
    if context is None:
        return tensor
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tensor)


def all_gather(tensor: Any) -> Any:
    """Join the replicas' tensors along their first axis.

    Gradients flow back to the replica that a row came from.
    """
    context = _context()
    if context is None:
        return tensor
    return context.all_gather(tf.convert_to_tensor(tensor), axis=0)


def own_rows(gathered: Any, size: Any) -> Any:
    """Return the rows of a gathered tensor that this replica gave.

    Args:
        gathered: What `all_gather` returned, or what was computed from it
            row by row.
        size: How many rows this replica gave.
    """
    context = _context()
    if context is None:
        return gathered
    sizes = context.all_gather(tf.reshape(size, (1,)), axis=0)
    start = tf.reduce_sum(sizes[: context.replica_id_in_sync_group])
    return gathered[start : start + size]


def _context() -> Any:
    if num_replicas() == 1 or tf.distribute.in_cross_replica_context():
        return None
    return tf.distribute.get_replica_context()
