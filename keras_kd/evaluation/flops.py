"""Counts floating-point operations with TensorFlow's profiler."""

from typing import Any

import keras
import tensorflow as tf

from keras_kd.core.tensorflow_internals import freeze

_LOOPS = {"LoopCond", "StatelessWhile", "While"}


def count_flops(function: Any, example: Any) -> int | None:
    """Count the operations of a `tf.function` on one example.

    A multiplication and an addition are two operations. Operators that the
    profiler does not know (activations, batch normalization) count 0.

    Args:
        function: A `tf.function` of one argument.
        example: A batch of one example.

    Returns:
        The count, or `None` if the graph cannot be frozen, has loops (as
        recurrent layers do, whose steps nobody counts), or the profiler knows
        none of its operators.
    """
    specs = keras.tree.map_structure(
        lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype), example
    )
    concrete = function.get_concrete_function(specs)
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    # The profiler warns about its own use of a deprecated function.
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        # The profiler does not look into function calls; freezing inlines
        # them.
        frozen = freeze(concrete)
        if _LOOPS & {
            operation.type for operation in frozen.graph.get_operations()
        }:
            return None
        profile = tf.compat.v1.profiler.profile(frozen.graph, options=options)
    except (ValueError, NotImplementedError, tf.errors.OpError):
        return None
    finally:
        logger.setLevel(level)
    return int(profile.total_float_ops) or None
