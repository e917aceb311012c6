"""Joined data: labels untouched, misses named, every kind of pipeline."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from processes import run_program

import keras_kd
from keras_kd.core.packed_inputs import unpack
from keras_kd.teachers.cache import graph_lookup
from keras_kd.teachers.cache import store
from keras_kd.teachers.cache.hashing import keys
from keras_kd.teachers.cache.hashing import show_key


@pytest.fixture(params=["graph", "memory", "mapped"])
def cache(build, vectors, request, monkeypatch):
    if request.param != "graph":
        monkeypatch.setattr(graph_lookup, "MOST_BYTES", 0)
    if request.param == "mapped":
        monkeypatch.setattr(store, "_IN_MEMORY_BYTES", 0)
    return build(vectors, shard_size=16)


@pytest.fixture
def pairs(vectors):
    labels = np.arange(100)
    return tf.data.Dataset.from_tensor_slices((vectors, labels))


PIPELINES = {
    "batched": lambda cache, data: cache.join(data.batch(8)),
    "unbatched": lambda cache, data: cache.join(data).batch(8),
    "shuffled before": lambda cache, data: cache.join(
        data.shuffle(100, seed=1).batch(8)
    ),
    "shuffled after": lambda cache, data: (
        cache.join(data).shuffle(100, seed=1).batch(8)
    ),
    "filtered": lambda cache, data: cache.join(
        data.filter(lambda x, y: y % 2 == 0).batch(8)
    ),
    "repeated": lambda cache, data: cache.join(data.repeat(2).batch(8)),
    "sharded": lambda cache, data: cache.join(data.shard(3, 1).batch(8)),
    "drop_remainder": lambda cache, data: cache.join(
        data.batch(8, drop_remainder=True)
    ),
    "shape unknown": lambda cache, data: cache.join(
        data.batch(8).map(
            lambda x, y: (tf.ensure_shape(tf.reshape(x, (-1, 4)), (None, 4)), y)
        )
    ),
}


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=PIPELINES.keys())
def test_every_output_belongs_to_its_example(
    pipeline, cache, pairs, vectors, numpy_logits
):
    count = 0
    for batch, labels in pipeline(cache, pairs):
        x, outputs = unpack(batch)
        np.testing.assert_array_equal(x, vectors[labels.numpy()])
        np.testing.assert_allclose(
            outputs["logits"], numpy_logits(x), rtol=1e-5
        )
        count += len(x)
    assert count >= 33


def test_the_number_of_batches_is_known(cache, pairs):
    assert len(cache.join(pairs.batch(8))) == 13


def test_static_shapes_are_known(cache, pairs):
    spec = cache.join(pairs.batch(8, drop_remainder=True)).element_spec
    assert spec[0]["keras_kd_teacher"]["logits"].shape == (8, 5)
    assert spec[0]["inputs"].shape == (8, 4)
    spec = cache.join(pairs).element_spec
    assert spec[0]["keras_kd_teacher"]["logits"].shape == (5,)


def test_labels_and_weights_are_untouched(cache, vectors):
    weights = np.linspace(0, 1, 100)
    packed, labels, same = cache.join((vectors, np.arange(100), weights))
    assert labels.tolist() == list(range(100))
    assert same is weights
    assert packed["inputs"] is vectors
    data = tf.data.Dataset.from_tensor_slices((vectors, weights, weights))
    _, y, w = next(iter(cache.join(data.batch(8))))
    np.testing.assert_array_equal(y, w)


def test_arrays_of_text_are_fitted(build):
    text = keras.Input((1,), name="text", dtype="string")
    found = keras.layers.StringLookup(vocabulary=["a", "b"])(text)
    x = keras.layers.Flatten()(keras.layers.Embedding(4, 3)(found))
    teacher = keras.Model({"text": text}, keras.layers.Dense(2)(x))
    data = {"text": tf.constant([["a"], ["b"]] * 8)}
    cache = build(data, teacher)
    distiller = keras_kd.Distiller(cache, teacher, alpha=1.0)
    distiller.compile("sgd", run_eagerly=True)
    logs = distiller.fit(cache.join(data), verbose=0).history
    assert logs["loss"][0] == pytest.approx(0, abs=1e-6)


def test_inputs_alone(cache, vectors):
    data = tf.data.Dataset.from_tensor_slices(vectors).batch(8)
    (first, *_) = cache.join(data)
    assert set(first) == {"inputs", "keras_kd_teacher"}


class Batches(keras.utils.PyDataset):
    def __init__(self, x, **kwargs):
        super().__init__(**kwargs)
        self.x = x
        self.ended = 0

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return self.x[10 * index : 10 * index + 10], np.full(10, index)

    def on_epoch_end(self):
        self.ended += 1


def test_a_py_dataset(cache, vectors, numpy_logits):
    data = Batches(vectors, workers=2)
    joined = cache.join(data)
    assert joined.num_batches == 10
    assert joined.workers == 2
    packed, labels = joined[3]
    assert labels.tolist() == [3] * 10
    np.testing.assert_allclose(
        packed["keras_kd_teacher"]["logits"],
        numpy_logits(vectors[30:40]),
        rtol=1e-5,
    )
    joined.on_epoch_end()
    assert data.ended == 1


def test_a_miss_names_the_example_and_its_hash(cache, vectors):
    x = vectors[:8].copy()
    x[5] += 1
    hash_ = show_key(keys(x)[5])
    match = rf"no outputs for example 5 of a batch of 8 \(1 .*{hash_}"
    with pytest.raises(ValueError, match=match):
        cache.join(x)
    data = tf.data.Dataset.from_tensor_slices(x).batch(8)
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
        list(cache.join(data))
    with pytest.raises(tf.errors.InvalidArgumentError, match=hash_):
        list(cache.join(data.unbatch()))
    with pytest.raises(ValueError, match=match):
        cache.join(_one_batch(x))[0]


def _one_batch(x):
    data = Batches(x)
    data.x = np.concatenate([x, x])[:8]
    return data


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.astype("float64"),
        lambda x: x[:, :3],
        lambda x: {"a": x, "b": x},
    ],
    ids=["dtype", "shape", "structure"],
)
def test_data_that_cannot_be_the_caches_is_refused_at_once(
    change, cache, vectors
):
    x = change(vectors)
    match = r"cache was built on: float32\(4\)"
    with pytest.raises(ValueError, match=match):
        cache.join(x)
    data = tf.data.Dataset.from_tensor_slices(x)
    with pytest.raises(ValueError, match=match):
        cache.join(data.batch(8))


def test_ragged_data_is_refused(cache):
    data = tf.data.Dataset.from_tensors(tf.ragged.constant([[1.0], [2.0, 3.0]]))
    with pytest.raises(TypeError, match="dense tensors"):
        cache.join(data)


def test_workers_may_be_processes(cache, vectors, numpy_logits):
    import pickle

    again = pickle.loads(pickle.dumps(cache))
    got = again.join(vectors[:3])["keras_kd_teacher"]["logits"]
    np.testing.assert_allclose(got, numpy_logits(vectors[:3]), rtol=1e-5)


REPLICAS = """
import sys
import numpy as np
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2)
import keras_kd
x = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
data = tf.data.Dataset.from_tensor_slices(x).batch(8)
strategy = tf.distribute.MirroredStrategy()
def difference(batch):
    stored = batch["keras_kd_teacher"]["logits"]
    return tf.reduce_max(tf.abs(stored - 2 * batch["inputs"][:, :3]))
def noisy(x, seed):
    return x + tf.random.stateless_normal((4,), seed)
def build(name, **settings):
    return keras_kd.TeacherCache.build(
        sys.argv[1] + name, lambda x: x[:, :3] * 2, x, teacher_output="logits",
        teacher_id="double", dtype="float32", verbose=0, **settings)
for cache in build("plain"), build("views", augment=noisy, views=3):
    joined = strategy.experimental_distribute_dataset(cache.join(data))
    for batch in joined:
        for value in strategy.experimental_local_results(
                strategy.run(difference, (batch,))):
            assert float(value) == 0.0, value
print("replicas", strategy.num_replicas_in_sync)
"""


@pytest.mark.slow
def test_two_replicas_get_their_own_examples(tmp_path):
    done = run_program(REPLICAS, tmp_path / "cache")
    assert done.stdout.strip().endswith("replicas 2")


def test_a_cache_is_a_distillers_teacher(build, teacher, student, images):
    cache = build(images, teacher)
    distiller = keras_kd.Distiller(cache, student, alpha=1.0)
    distiller.compile("adam")
    data = tf.data.Dataset.from_tensor_slices(images).batch(16)
    history = distiller.fit(cache.join(data), epochs=2, verbose=0)
    assert history.history["loss"][1] < history.history["loss"][0]
