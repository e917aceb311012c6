"""Communication between the replicas of a `tf.distribute` strategy.

Outside a strategy, and during shape inference, there is one replica.
"""

from typing import Any

import tensorflow as tf


def num_replicas() -> int:
    """Return the number of replicas that train in sync."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def all_sum(tensor: Any) -> Any:
    """Return the sum of a tensor over the replicas."""
    context = _context()
    if context is None:
        return tensor
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tensor)


def all_gather(tensor: Any) -> Any:
    """Concatenate the replicas' tensors along their first axis.

    Gradients flow back to the replica that a row came from.
    """
    context = _context()
    if context is None:
        return tensor
    return context.all_gather(tf.convert_to_tensor(tensor), axis=0)


def own_rows(gathered: Any, size: Any) -> Any:
    """Return this replica's rows of a gathered tensor.

    Args:
        gathered: The result of `all_gather`, or a tensor with one row for
            each of its rows.
        size: Number of this replica's rows.
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
