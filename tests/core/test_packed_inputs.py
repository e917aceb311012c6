"""Joined data: what is packed comes back, plain data is left alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_kd.core.packed_inputs import TopK
from keras_kd.core.packed_inputs import pack
from keras_kd.core.packed_inputs import unpack

MAKERS = {
    "numpy": lambda: np.zeros((2, 3), "float32"),
    "tensor": lambda: tf.zeros((2, 3)),
    "symbolic": lambda: keras.KerasTensor((None, 3)),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_what_is_packed_comes_back(make):
    x, logits = make(), make()
    inputs, outputs = unpack(pack(x, {"logits": logits}))
    assert inputs is x
    assert outputs["logits"] is logits


@pytest.mark.parametrize(
    "x", [3, [1, 2], {"inputs": 1}, {"inputs": 1, "mask": 2}], ids=str
)
def test_plain_inputs_are_left_alone(x):
    assert unpack(x) == (x, None)


def test_a_list_of_outputs_passes_through_a_pipeline():
    data = tf.data.Dataset.from_tensors(np.float32([[1.0]]))
    joined = data.map(lambda x: pack(x, {"logits": [x, {"a": [x, x]}]}))
    _, outputs = unpack(next(iter(joined)))
    assert outputs["logits"][1]["a"] == (1.0, 1.0)
    assert isinstance(outputs["logits"], tuple)


def test_joined_data_passes_through_a_pipeline_and_keras_trees():
    logits = np.array([[3.0]])
    joined = pack({"a": [1.0], "b": [2.0]}, {"logits": logits})
    (batch,) = tf.data.Dataset.from_tensors(joined)
    x, outputs = unpack(keras.tree.map_structure(np.asarray, batch))
    assert x == {"a": [1.0], "b": [2.0]}
    assert outputs == {"logits": [[3.0]]}


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("top_k", [1, 3, 7])
def test_top_k_made_dense(shape, top_k):
    rng = np.random.default_rng(0)
    others = rng.normal(size=shape).astype("float32")
    exact = np.repeat(others[..., None], 7, -1)
    classes = np.argsort(rng.random(exact.shape), -1)[..., :top_k]
    values = rng.normal(size=classes.shape).astype("float32")
    np.put_along_axis(exact, classes, values, -1)
    axis = np.empty((*shape, 7, 0), "float32")
    top = TopK(classes.astype("int32"), values, others, axis)
    np.testing.assert_array_equal(top.dense(), exact)

    @tf.function(
        jit_compile=True,
        input_signature=[
            tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in top
        ],
    )
    def compiled(*parts):
        return TopK(*parts).dense()

    np.testing.assert_array_equal(compiled(*top), exact)
