"""Tensors of a file are told by the layers that the user named."""

import keras
import pytest

from keras_kd.export.context import Context
from keras_kd.export.layer_names import LayerNames

layers = keras.layers


@pytest.fixture(scope="module")
def student():
    block = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(2, 3, name="conv2d")],
        name="block",
    )
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            block,
            layers.BatchNormalization(name="norm"),
            layers.Conv2D(2, 3, name="conv2d"),
            layers.Conv2D(2, 3, name="conv2d_1"),
        ],
        name="net",
    )


@pytest.mark.parametrize(
    ("tensor", "layer"),
    [
        # The second trace of a model numbers every name.
        ("net_1/conv2d_1_2/Relu", "conv2d_1"),
        ("net_1/conv2d_1/Relu", "conv2d"),
        ("net/conv2d_1/Relu", "conv2d_1"),
        ("net_1/block_1/conv2d_1/Relu", "block/conv2d"),
        # Of several that became one operator, the one with most weights.
        ("net_1/norm_1/add;net_1/conv2d_1/conv", "conv2d"),
        ("StatefulPartitionedCall:0", None),
        ("net_1/Gelu", None),
    ],
)
@pytest.mark.parametrize("has_front", [False, True])
def test_names_of_tensors(student, tensor, layer, has_front):
    front = (layers.Rescaling(0.5, name="half"),) if has_front else ()
    names = LayerNames(Context("test", student, front))
    if has_front:
        tensor = ";".join(f"net_file_1/{part}" for part in tensor.split(";"))
        if "net/" in tensor:
            tensor = tensor.replace("net_file_1/", "net_file/")
        assert names.layer("net_file_1/half_1/mul") == "half"
    assert names.layer(tensor) == layer
    assert names.shown(tensor) == (layer or tensor)
