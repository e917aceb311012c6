import keras
import pytest
import tensorflow as tf

from keras_kd.evaluation.file_kinds import CONSTANT
from keras_kd.evaluation.file_kinds import Producer
from keras_kd.evaluation.file_kinds import graph_producer
from keras_kd.evaluation.file_kinds import kind_of


def _chain(*ops):
    """Build producers from the output back to the input."""
    if not ops:
        return Producer("input", list)
    return Producer(
        ops[0], lambda: [_chain(*ops[1:]), Producer(CONSTANT, list)]
    )


@pytest.mark.parametrize(
    ("ops", "kind"),
    [
        (("FULLY_CONNECTED",), "logits"),
        (("DEQUANTIZE", "SOFTMAX", "FULLY_CONNECTED"), "probabilities"),
        (("QUANTIZE", "RESHAPE", "LOGISTIC"), "binary_probabilities"),
        (("ADD", "MUL", "FULLY_CONNECTED"), "logits"),
        (("MEAN", "CONV_2D"), "logits"),
        (("MEAN", "SOFTMAX"), "probabilities"),
        (("MUL", "SOFTMAX"), None),
        (("TANH", "FULLY_CONNECTED"), None),
        (("an operator with a fused activation",), None),
        (("RESHAPE",), None),
        (("Identity", "Softmax", "BiasAdd", "MatMul"), "probabilities"),
        (("BiasAdd", "MatMul"), "logits"),
        (("LogSoftmax",), "logits"),
        (("Relu", "MatMul"), None),
    ],
)
def test_kinds_of_chains(ops, kind):
    assert kind_of(_chain(*ops)) == kind


def test_a_sum_of_probabilities_is_neither():
    both = Producer("ADD", lambda: [_chain("SOFTMAX"), _chain("LOGISTIC")])
    assert kind_of(both) is None
    same = Producer("AddV2", lambda: [_chain("MatMul"), _chain("MatMul")])
    assert kind_of(same) == "logits"


def test_calls_are_followed_in_and_out():
    @tf.function(autograph=False)
    def inner(x, y):
        return tf.reshape(y, (-1, 2)), tf.nn.softmax(x)

    @tf.function(autograph=False)
    def outer(x):
        first, second = inner(x, tf.matmul(x, tf.ones((2, 2))))
        return {"first": first, "second": second}

    concrete = outer.get_concrete_function(tf.TensorSpec((None, 2)))
    graph_def = concrete.graph.as_graph_def()
    kinds = [
        kind_of(graph_producer(graph_def, output.name))
        for output in concrete.outputs
    ]
    assert kinds == ["logits", "probabilities"]


def test_a_nested_model_with_batch_normalization(tmp_path):
    inner = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4), keras.layers.Softmax()]
    )
    inputs = keras.Input((3,))
    x = keras.layers.BatchNormalization()(inputs)
    model = keras.Model(inputs, inner(x))
    model.export(str(tmp_path / "nested"), verbose=False)
    signature = tf.saved_model.load(str(tmp_path / "nested")).signatures[
        "serving_default"
    ]
    producer = graph_producer(
        signature.graph.as_graph_def(), signature.outputs[0].name
    )
    assert kind_of(producer) == "probabilities"
