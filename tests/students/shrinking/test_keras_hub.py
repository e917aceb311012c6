"""students.shrink on backbones of KerasHub, where it is installed."""

import keras
import numpy as np
import pytest
from exhaustive import rest_when_asked

from keras_kd import Distiller
from keras_kd import export
from keras_kd.students import shrink

hub = pytest.importorskip(
    "keras_hub", reason="needs keras_hub (pip install keras-hub)"
)

LENGTH = 16
TEXT = {
    "vocabulary_size": 100,
    "num_layers": 2,
    "num_heads": 4,
    "hidden_dim": 32,
    "intermediate_dim": 64,
    "max_sequence_length": LENGTH,
}
RENAMED = {
    "ElectraBackbone": {
        "vocab_size": TEXT["vocabulary_size"],
        "embedding_dim": 32,
    },
    "AlbertBackbone": {"embedding_dim": 16},
}
WITHOUT = {
    "ElectraBackbone": ["vocabulary_size"],
    "FNetBackbone": ["num_heads"],
}
TEXTS = [
    "AlbertBackbone",
    "BertBackbone",
    "BloomBackbone",
    "DebertaV3Backbone",
    "DistilBertBackbone",
    "ElectraBackbone",
    "FNetBackbone",
    "GPT2Backbone",
    "OPTBackbone",
    "RobertaBackbone",
    "XLMRobertaBackbone",
]
IMAGE = (32, 32, 3)
IMAGES = {
    "DenseNetBackbone": {
        "stackwise_num_repeats": [2, 2],
        "compression_ratio": 0.5,
        "growth_rate": 16,
    },
    "EfficientNetBackbone": {
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
        "stackwise_kernel_sizes": [3, 3],
        "stackwise_num_repeats": [1, 2],
        "stackwise_input_filters": [32, 16],
        "stackwise_output_filters": [16, 24],
        "stackwise_expansion_ratios": [1, 6],
        "stackwise_strides": [1, 2],
        "stackwise_squeeze_and_excite_ratios": [0.25, 0.25],
        "stackwise_block_types": ["v1", "v1"],
    },
    "ResNetBackbone": {
        "input_conv_filters": [64],
        "input_conv_kernel_sizes": [3],
        "stackwise_num_filters": [64, 128],
        "stackwise_num_blocks": [2, 2],
        "stackwise_num_strides": [1, 2],
        "block_type": "basic_block",
    },
    "VGGBackbone": {
        "stackwise_num_repeats": [1, 1],
        "stackwise_num_filters": [16, 32],
    },
    "ViTBackbone": {
        "patch_size": 8,
        "num_layers": 2,
        "num_heads": 4,
        "hidden_dim": 32,
        "mlp_dim": 64,
    },
    "XceptionBackbone": {
        "stackwise_conv_filters": [[16, 32], [32, 32]],
        "stackwise_pooling": [True, False],
    },
}
# The other readers have the blocks of BERT, below, or of GPT-2.
QUICK_TEXTS = [
    "AlbertBackbone",
    "BloomBackbone",
    "DebertaV3Backbone",
    "FNetBackbone",
    "GPT2Backbone",
]
# Concatenations, gates, attention.
QUICK_IMAGES = ["DenseNetBackbone", "EfficientNetBackbone", "ViTBackbone"]


def reader(name, **arguments):
    """A classifier of texts, which gives logits."""
    given = TEXT | RENAMED.get(name, {}) | arguments
    for key in WITHOUT.get(name, []):
        del given[key]
    backbone = getattr(hub.models, name)(**given)
    tokens = backbone.output
    if isinstance(tokens, dict):
        tokens = tokens["sequence_output"]
    outputs = keras.layers.Dense(10)(tokens[:, 0])
    return keras.Model(backbone.input, outputs)


def viewer(name):
    """A classifier of images, which gives logits."""
    build = getattr(hub.models, name)
    backbone = build(image_shape=IMAGE, **IMAGES[name])
    rank = len(backbone.output.shape) - 2
    pool = getattr(keras.layers, f"GlobalAveragePooling{rank}D")
    return keras.Model(
        backbone.input, keras.layers.Dense(10)(pool()(backbone.output))
    )


def texts(teacher, count=3):
    draw = np.random.default_rng(0)
    names = [tensor.name for tensor in keras.tree.flatten(teacher.input)]
    found = {
        name: draw.integers(0, 2, (count, LENGTH)).astype("int32")
        for name in names
    }
    found["token_ids"] = draw.integers(1, 100, (count, LENGTH)).astype("int32")
    found["padding_mask"] = np.ones((count, LENGTH), "int32")
    return {name: found[name] for name in names}


def check(teacher, data):
    """Narrower, complete, and at full width the teacher itself."""
    expected = keras.ops.convert_to_numpy(teacher(data))
    for initialize in (None, "teacher"):
        student = shrink(teacher, 0.5, multiple=4, initialize=initialize)
        logits = keras.ops.convert_to_numpy(student(data))
        assert logits.shape == expected.shape
        assert np.isfinite(logits).all()
        # Tables of tokens fall to a half, kernels to a quarter.
        share = student.count_params() / teacher.count_params()
        assert 0.2 < share < 0.45
    same = shrink(teacher, width=1.0, initialize="teacher")
    np.testing.assert_allclose(same(data), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", rest_when_asked(TEXTS, QUICK_TEXTS))
def test_a_reader(name):
    teacher = reader(name)
    check(teacher, texts(teacher))


@pytest.mark.slow
@pytest.mark.parametrize("name", rest_when_asked(IMAGES, QUICK_IMAGES))
def test_a_viewer(name):
    draw = np.random.default_rng(0)
    check(viewer(name), draw.uniform(size=(2, *IMAGE)).astype("float32"))


@pytest.mark.slow
def test_fewer_heads_and_blocks():
    teacher = reader("BertBackbone", num_layers=4)
    student = shrink(teacher, 0.5, 0.5, multiple=4, initialize="teacher")
    kept = [x for x in student.layers if "transformer_layer" in x.name]
    assert [layer.name[-1] for layer in kept] == ["0", "3"]
    assert {(x.num_heads, x.intermediate_dim) for x in kept} == {(2, 32)}


@pytest.mark.slow
def test_a_distilled_bert():
    keras.utils.set_random_seed(0)
    teacher = reader("BertBackbone", num_layers=1)
    student = shrink(teacher, width=0.5, multiple=4)
    data = texts(teacher, 32)
    distiller = Distiller(teacher, student, alpha=1.0)
    distiller.compile(keras.optimizers.Adam(0.01))
    history = distiller.fit(data, epochs=8, batch_size=8, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.slow
@pytest.mark.export
@pytest.mark.parametrize("name", ["BertBackbone", "ViTBackbone"])
def test_its_files(name, tmp_path):
    if name in IMAGES:
        teacher, draw = viewer(name), np.random.default_rng(0)
        data = draw.uniform(size=(100, *IMAGE)).astype("float32")
    else:
        teacher = reader(name)
        data = texts(teacher, 100)
    student = shrink(teacher, width=0.5, multiple=4)
    paths = {kind: tmp_path / f"{kind}.tflite" for kind in ("float32", "int8")}
    results = export.tflite_files(student, paths, data, verify=data)
    assert {kind: result.kind for kind, result in results.items()} == {
        kind: kind for kind in paths
    }
    # Measured: 1e-6, and classes that differ on one text in a hundred.
    assert results["float32"].max_abs_difference < 1e-5
    assert results["int8"].agreement > 0.9


@pytest.mark.slow
def test_a_layer_whose_config_is_not_whole():
    """SegFormer's encoder does not write down how it reduces sequences."""
    backbone = hub.models.MiTBackbone(
        layerwise_depths=[1, 1],
        num_layers=2,
        layerwise_num_heads=[1, 2],
        layerwise_sr_ratios=[2, 1],
        max_drop_path_rate=0.0,
        layerwise_patch_sizes=[3, 3],
        layerwise_strides=[2, 2],
        image_shape=IMAGE,
        hidden_dims=[16, 32],
    )
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
    outputs = keras.layers.Dense(10)(pooled)
    with pytest.raises(ValueError, match="which is no argument of its class"):
        shrink(keras.Model(backbone.input, outputs), width=0.5)
