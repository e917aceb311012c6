"""What we lean on of TensorFlow outside its stable API."""

import tensorflow as tf

from keras_kd.core.tensorflow_internals import freeze


def test_freeze():
    """float16 files and FLOPs: both need a graph without variables."""
    weight = tf.Variable([2.0])
    inner = tf.function(lambda x: x * weight)
    traced = tf.function(lambda x: inner(x) + 1.0).get_concrete_function(
        tf.TensorSpec([1])
    )
    frozen = freeze(traced)
    (result,) = frozen(tf.constant([3.0]))
    assert result.numpy() == [7.0]
    kinds = {op.type for op in frozen.graph.get_operations()}
    assert "Mul" in kinds, "inlined"
    assert not kinds & {"ReadVariableOp", "PartitionedCall"}
