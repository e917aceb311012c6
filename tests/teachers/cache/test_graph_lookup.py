"""A join that finds examples in the graph finds the same as Python does."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_kd
from keras_kd.core.packed_inputs import unpack
from keras_kd.teachers.cache import graph_lookup
from keras_kd.teachers.cache.hashing import keys
from keras_kd.teachers.cache.hashing import show_key
from keras_kd.teachers.cache.join import Joiner


@pytest.fixture
def num_found(monkeypatch):
    """The number of batches that Python found so far."""
    found = []

    def counted(self, x, find=Joiner.find):
        found.append(x)
        return find(self, x)

    monkeypatch.setattr(Joiner, "find", counted)
    return lambda: len(found)


def epoch(joined):
    """The outputs of all batches, in their order, by their path."""
    batches = [unpack(batch)[1] for batch in joined]
    return keras.tree.map_structure(
        lambda *parts: np.concatenate(parts), *batches
    )


def assert_same(one, other):
    leaves = keras.tree.flatten(one), keras.tree.flatten(other)
    for mine, wanted in zip(*leaves, strict=True):
        np.testing.assert_array_equal(mine, wanted)


def test_python_finds_an_example_once(build, vectors, num_found):
    cache = build(vectors)
    wanted = cache.join(vectors)["keras_kd_teacher"]
    before = num_found()
    joined = cache.join(tf.data.Dataset.from_tensor_slices(vectors).batch(16))
    assert_same(epoch(joined), wanted)
    assert num_found() == before + 7
    assert_same(epoch(joined), wanted)
    assert num_found() == before + 7


def test_equal_fingerprints_do_not_mix_examples_up(
    build, vectors, num_found, monkeypatch
):
    real = graph_lookup._fingerprints

    def colliding(leaves):
        first, second = real(leaves)
        return first % 2, second

    monkeypatch.setattr(graph_lookup, "_fingerprints", colliding)
    cache = build(vectors)
    wanted = cache.join(vectors)["keras_kd_teacher"]
    joined = cache.join(tf.data.Dataset.from_tensor_slices(vectors).batch(16))
    for _ in range(3):
        assert_same(epoch(joined), wanted)
    assert num_found() == 1 + 3 * 7


def test_the_two_fingerprints_are_independent(vectors):
    first, second = graph_lookup._fingerprints([tf.constant(vectors)])
    assert len({*first.numpy().tolist(), *second.numpy().tolist()}) == 200


def test_a_miss_in_a_later_epoch_is_named(build, vectors):
    other = vectors[:8].copy()
    other[5, 3] += 1e-6
    data = tf.data.Dataset.from_tensor_slices(vectors)
    data = data.concatenate(tf.data.Dataset.from_tensor_slices(other))
    hash_ = show_key(keys(other)[5])
    match = rf"no outputs for example 1 of a batch of 4 \(1 .*{hash_}"
    joined = iter(build(vectors).join(data.batch(4)))
    for _ in range(26):
        next(joined)
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
        next(joined)


def flat_logits(x):
    rows = [np.reshape(leaf, (len(leaf), -1)) for leaf in keras.tree.flatten(x)]
    rows = np.concatenate(rows, -1).astype("float64")
    return np.stack([rows @ np.arange(rows.shape[1]), rows.sum(-1)], -1)


WHOLE = np.arange(60).reshape(20, 3)
EXAMPLES = {
    "bool": WHOLE % 7 > 2,
    "uint8": WHOLE.astype("uint8"),
    "int8": WHOLE.astype("int8"),
    "int64": WHOLE,
    "float16": WHOLE.astype("float16"),
    "float64": WHOLE / 7,
    "scalars": WHOLE[:, 0].astype("int32"),
    "dict": {"a": WHOLE / 7, "b": WHOLE[:, :1].astype("uint8")},
}


@pytest.mark.parametrize("x", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_examples_of_every_type(x, build, num_found):
    cache = build(x, flat_logits)
    wanted = cache.join(x)["keras_kd_teacher"]
    joined = cache.join(tf.data.Dataset.from_tensor_slices(x).batch(8))
    assert_same(epoch(joined), wanted)
    found = num_found()
    assert_same(epoch(joined), wanted)
    assert num_found() == found > 1


def test_text_is_found_by_python(build, num_found):
    x = np.array([["a"], ["bb"], ["ccc"]], dtype=object)
    cache = build(x, lambda x: np.array([[len(t[0])] * 2 for t in x]) * 1.0)
    joined = cache.join(tf.data.Dataset.from_tensor_slices(x).batch(2))
    for _ in range(2):
        assert epoch(joined)["logits"][:, 0].tolist() == [1, 2, 3]
    assert num_found() == 4


def test_sizes_are_part_of_an_example(build):
    """Equal bytes as 2 x 3 and as 3 x 2 are two examples."""
    tables = [np.arange(6.0).reshape(1, 2, 3), np.arange(6.0).reshape(1, 3, 2)]
    data = tf.data.Dataset.from_generator(
        lambda: iter(tables),
        output_signature=tf.TensorSpec((None, None, None), tf.float64),
    )
    cache = build(data, lambda x: np.array([[x.shape[1], x.shape[2]]]) * 1.0)
    for _ in range(2):
        logits = epoch(cache.join(data.repeat(2)))["logits"]
        assert logits.tolist() == [[2, 3], [3, 2]] * 2


@pytest.mark.parametrize(
    "settings", [{"top_k": 2}, {"dtype": "float16"}, {"layers": ["half"]}]
)
def test_every_kind_of_output(settings, build, vectors, numpy_logits):
    def teacher(x):
        logits = numpy_logits(x)
        return {"logits": logits, "half": x / 2} if layers else logits

    layers = settings.get("layers")
    cache = build(vectors, teacher, **settings)
    joined = cache.join(tf.data.Dataset.from_tensor_slices(vectors).batch(16))
    wanted = cache.join(vectors)["keras_kd_teacher"]
    for _ in range(2):
        assert_same(epoch(joined), wanted)


def test_a_file_that_shrinks_after_opening_is_noticed(build, vectors):
    path = build(vectors, shard_size=16).path
    cache = keras_kd.TeacherCache.open(path)
    for shard in path.glob("*.shard"):
        shard.write_bytes(shard.read_bytes()[:100])
    data = tf.data.Dataset.from_tensor_slices(vectors).batch(16)
    with pytest.raises(keras_kd.StaleCacheError, match="changed after opening"):
        cache.join(data)
