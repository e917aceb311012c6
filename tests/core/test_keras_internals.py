"""Each private name of Keras that we lean on, and what breaks without it."""

import ast
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_kd
from keras_kd.core import keras_internals as internals

ROOM = pathlib.Path(keras_kd.__file__).parent


@pytest.fixture(scope="module")
def model():
    x = keras.Input((4,), name="x")
    shared = keras.layers.Dense(4, name="shared")
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    return keras.Model({"x": x}, [inner(shared(shared(x)))])


def test_flatten_layers(model):
    """`quantize_aware`, export and int8 checks would miss nested layers."""
    names = [layer.name for layer in internals.flatten_layers(model)]
    inner = model.layers[-1]
    assert {model.name, "shared", inner.layers[0].name} <= set(names)
    below = internals.flatten_layers(model, include_self=False)
    assert model.name not in [layer.name for layer in below]


def test_held_layers():
    """`teacher_layer="block/dense"` would not find layers of layers."""

    class Block(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)

    block = Block()
    assert internals.held_layers(block) == [block.dense]


def test_own_trainable_variables():
    """`num_float_weights` would count the weights of inner layers twice."""
    outer = keras.layers.Bidirectional(keras.layers.LSTM(2))
    outer.build((None, 3, 4))
    assert internals.own_trainable_variables(outer) == []
    assert len(outer.trainable_variables) == 6


def test_causal_padding():
    """A quantize-aware causal Conv1D would see the future."""
    layer = keras.layers.Conv1D(1, 3, padding="causal", dilation_rate=2)
    layer.build((None, 8, 1))
    assert [tuple(row) for row in internals.causal_padding(layer)] == [
        (0, 0),
        (4, 0),
        (0, 0),
    ]


def test_the_graph(model):
    """`shrink` and `quantize_aware` walk models along these."""
    output = model.outputs[0]
    inner, shared = model.layers[-1], model.get_layer("shared")
    assert internals.maker(output) is inner
    operation, call, place = internals.origin(output)
    assert (operation, place) == (inner, 0)
    (before,) = internals.calls_of(inner)[call].input_tensors
    assert internals.maker(before) is shared
    assert internals.origin(before)[1] == 1, "the second of the calls"
    assert len(internals.calls_of(shared)) == 2
    assert [n.operation for n in internals.consumers(shared)] == [shared, inner]
    ran = [node.operation for node in internals.run_order(model)]
    assert ran == [model.layers[0], shared, shared, inner]


def test_the_structures(model):
    """A dict of inputs would reach the teacher as a list."""
    assert internals.inputs_structure(model) == {"x": model.inputs[0]}
    assert internals.outputs_structure(model) == model.outputs
    one = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    assert internals.inputs_structure(one) is one.inputs[0]


def test_mask_of():
    """Padding would count in the distillation loss."""
    embed = keras.layers.Embedding(5, 2, mask_zero=True)
    mask = internals.mask_of(embed(np.array([[1, 0]])))
    np.testing.assert_array_equal(mask, [[True, False]])
    assert internals.mask_of(keras.ops.ones(3)) is None


def test_what_compile_leaves():
    """`fit` would lose the student's own loss, `evaluate` its mean."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert internals.compiled_loss(model) is None
    model.compile("sgd", "mse", metrics=["mae"], weighted_metrics=["mse"])
    x, y = np.zeros((4, 2), "float32"), np.full((4, 1), 2.0, "float32")
    model.evaluate(x, y, verbose=0)
    assert float(internals.loss_tracker(model).result()) == 4.0
    predictions = model(x)
    assert float(internals.compiled_loss(model)(y, predictions, None)) == 4.0
    total = internals.total_loss(model, x, y, predictions, None)
    assert float(total) == 4.0
    compiled = internals.compiled_metrics(model)
    assert internals.flatten_labels(compiled, predictions) == [predictions]
    ((plain, weighted),) = internals.flat_metrics(compiled)
    assert [m.name for m in plain.metrics] == ["mae"]
    assert [m.name for m in weighted.metrics] == ["mse"]


def test_held_variables(tmp_path):
    """A SavedModel would hold every weight twice."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    archive = keras.export.ExportArchive()
    archive.track(model)
    assert len(internals.held_variables(archive).variables) == 2


def test_traceable_operations():
    """Open image sizes and `argmax` would not go into files."""
    ops = keras.ops
    before = ops.image.resize
    x = np.random.default_rng(0).random((2, 3, 4, 1), "float32")
    up = keras.layers.UpSampling2D(2, interpolation="bilinear")

    def traced(function, spec):
        made = tf.function(function, autograph=False)
        return made.get_concrete_function(tf.TensorSpec(spec))

    with internals.traceable_operations(), internals.traceable_operations():
        resize = traced(up, (None, None, None, 1))
        places = traced(lambda x: ops.argmax(x, 1, keepdims=True), x.shape)
        flat = traced(lambda x: ops.argmin(x), x.shape)
        np.testing.assert_array_equal(up(x), ops.image.resize(x, (6, 8)))
    np.testing.assert_array_equal(resize(x), up(x))
    np.testing.assert_array_equal(places(x), x.argmax(1)[:, None])
    assert flat(x) == x.argmin()
    operators = {node.type for node in places.graph.get_operations()}
    assert "BitwiseAnd" not in operators
    assert ops.image.resize is before
    with pytest.raises(tf.errors.OperatorNotAllowedInGraphError):
        traced(up, (None, None, None, 1))


def test_no_other_file_leans_on_keras():
    files = {
        path: list(ast.walk(ast.parse(path.read_text())))
        for path in ROOM.rglob("*.py")
        if not path.stem.endswith("_internals")
    }
    ours = {name for nodes in files.values() for name in _defined(nodes)}
    read = {
        node.attr: path.name
        for path, nodes in files.items()
        # A search inherits KerasTuner's; its own test lists them.
        if path.relative_to(ROOM).parts[0] != "search"
        for node in nodes
        if isinstance(node, ast.Attribute) and node.attr.startswith("_")
    }
    documented = {"_asdict", "_exit", "_replace"}  # Named tuples, `os`.
    foreign = read.keys() - ours - documented
    assert [n for n in foreign if not n.startswith("__")] == []


def _defined(nodes):
    """Yield the names that a file gives to something."""
    for node in nodes:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Constant(value=str(name)):
                yield name  # For `setattr`.
