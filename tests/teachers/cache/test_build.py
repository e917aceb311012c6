"""Teachers and data sets of every kind, built, joined, compared."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_kd
from keras_kd.core.packed_inputs import unpack


def stored(cache, x):
    return unpack(cache.join(x))[1]


class Batches(keras.utils.PyDataset):
    def __init__(self, x, size):
        super().__init__()
        self.x, self.size = x, size

    @property
    def num_batches(self):
        return -(-len(self.x) // self.size)

    def __getitem__(self, index):
        x = self.x[index * self.size : (index + 1) * self.size]
        return x, np.zeros(len(x))


SOURCES = {
    "array": lambda x: x,
    "arrays": lambda x: (x, np.zeros(len(x))),
    "batched": lambda x: tf.data.Dataset.from_tensor_slices(x).batch(32),
    "unbatched": lambda x: tf.data.Dataset.from_tensor_slices(
        (x, np.zeros(len(x)))
    ),
    "generator": lambda x: tf.data.Dataset.from_generator(
        lambda: iter(x), output_signature=tf.TensorSpec((6, 6, 1))
    ).batch(7),
    "py_dataset": lambda x: Batches(x, 32),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_every_data_set_gives_the_teachers_logits(
    source, build, teacher, images
):
    cache = build(source(images), teacher)
    wanted = teacher.predict(images, verbose=0)
    got = stored(cache, images)
    np.testing.assert_allclose(got["logits"], wanted, atol=1e-5)
    assert set(got) == {"logits", "ids", cache.source}
    assert len(cache) == 48
    assert tuple(cache.spec.logits.shape) == (None, 3)
    assert cache.spec.features == {}


def test_a_softmax_head_is_stored_as_logits(build, make_classifier, images):
    plain = make_classifier()
    softmax = keras.Sequential([plain, keras.layers.Softmax()])
    got = stored(build(images, softmax), images)["logits"]
    wanted = plain.predict(images, verbose=0)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_named_layers_are_stored(build, teacher, images):
    cache = build(images, teacher, layers=iter(["conv", "pool"]))
    probe = keras.Model(
        teacher.inputs, [teacher.get_layer(n).output for n in ("conv", "pool")]
    )
    features = stored(cache, images)["features"]
    for name, wanted in zip(
        ("conv", "pool"), probe.predict(images, verbose=0), strict=True
    ):
        np.testing.assert_allclose(features[name], wanted, atol=1e-5)
    assert tuple(cache.spec.features["conv"].shape) == (None, 4, 4, 8)


def test_several_inputs_and_outputs(build, vectors):
    inputs = {
        "a": keras.Input((4,), name="a"),
        "b": keras.Input((4,), name="b"),
    }
    joint = keras.layers.Concatenate()(list(inputs.values()))
    outputs = {
        "one": keras.layers.Dense(3, name="one")(joint),
        "two": keras.layers.Dense(1, "sigmoid", name="two")(joint),
    }
    model = keras.Model(inputs, outputs)
    x = {"a": vectors, "b": vectors[::-1]}
    cache = build(tf.data.Dataset.from_tensor_slices(x), model)
    got = stored(cache, x)["logits"]
    np.testing.assert_allclose(
        got["one"], model.predict(x, verbose=0)["one"], atol=1e-5
    )
    assert got["two"].shape == (100, 2)
    (batch,) = cache.join(tf.data.Dataset.from_tensor_slices(x).batch(100))
    _, joined = unpack(batch)
    np.testing.assert_array_equal(joined["logits"]["one"], got["one"])
    # A pair is an input and its label.
    pairs = tf.data.Dataset.from_tensor_slices((vectors, vectors))
    with pytest.raises(ValueError, match="inputs of the teacher.*1 tensors"):
        build(pairs, model)


def test_an_ensemble(build, make_classifier, images):
    ensemble = keras_kd.teachers.Ensemble(
        [make_classifier(name=n) for n in ("a", "b")], combine="probabilities"
    )
    cache = build(
        tf.data.Dataset.from_tensor_slices(images),
        ensemble,
        teacher_id=None,
        teacher_output=None,
    )
    wanted = keras.ops.convert_to_numpy(ensemble(images))
    np.testing.assert_allclose(
        stored(cache, images)["logits"], wanted, atol=1e-5
    )
    keras_kd.TeacherCache.open(cache.path, ensemble)
    ensemble.models[1].layers[-1].bias.assign([9.0, 0.0, 0.0])
    with pytest.raises(keras_kd.StaleCacheError, match="weights"):
        keras_kd.TeacherCache.open(cache.path, ensemble)


def test_what_a_function_lacks_is_said_at_once(build, numpy_logits, vectors):
    message = "Received: teacher_output=None, teacher_id=None"
    with pytest.raises(ValueError, match=message):
        build(vectors, numpy_logits, teacher_output=None, teacher_id=None)


def test_a_function_that_gives_probabilities(build, numpy_logits, vectors):
    def probabilities(x):
        values = np.exp(numpy_logits(x))
        return values / values.sum(-1, keepdims=True)

    cache = build(vectors, probabilities, teacher_output="probabilities")
    wanted = np.log(probabilities(vectors))
    np.testing.assert_allclose(
        stored(cache, vectors)["logits"], wanted, atol=1e-5
    )


def test_logits_given_as_probabilities_are_refused(
    build, numpy_logits, vectors
):
    match = "`TeacherCache.build`.*teacher_output='probabilities'.*'logits'"
    with pytest.raises(ValueError, match=match):
        build(vectors, numpy_logits, teacher_output="probabilities")


@pytest.mark.parametrize(
    "choice", ["small", lambda x: x["small"]], ids=["key", "function"]
)
def test_the_teacher_sees_what_teacher_input_gives(
    choice, build, numpy_logits, vectors
):
    x = {"small": vectors, "large": np.ones((100, 9), "float32")}
    cache = build(x, teacher_input=choice)
    np.testing.assert_allclose(
        stored(cache, x)["logits"], numpy_logits(vectors), rtol=1e-5
    )


def test_a_key_and_a_model_tell_unbatched_data(build, teacher, images):
    x = {"image": images, "sound": np.ones((48, 3), "float32")}
    cache = build(
        tf.data.Dataset.from_tensor_slices(x), teacher, teacher_input="image"
    )
    wanted = teacher.predict(images, verbose=0)
    np.testing.assert_allclose(stored(cache, x)["logits"], wanted, atol=1e-5)


def test_equal_examples_are_stored_once_and_seen_once(
    build, numpy_logits, vectors
):
    seen = []

    def counting(x):
        seen.append(len(x))
        return numpy_logits(x)

    doubled = np.concatenate([vectors, vectors[::-1], vectors])
    cache = build(doubled, counting, batch_size=30, shard_size=64)
    assert len(cache) == sum(seen) == 100
    assert max(seen) == 30
    build(doubled, counting, batch_size=30, shard_size=64)
    assert sum(seen) == 100, "what is stored is not computed again"


def test_more_data_adds_what_is_new(build, vectors, numpy_logits):
    build(vectors[:60], shard_size=32)
    cache = build(vectors, shard_size=32)
    assert len(cache) == 100
    cache.verify()
    np.testing.assert_allclose(
        stored(cache, vectors)["logits"], numpy_logits(vectors), rtol=1e-5
    )


def test_parts_are_built_apart_and_opened_together(
    build, vectors, numpy_logits, tmp_path
):
    first = build(vectors, shard=(2, 3))
    assert 0 < len(first) < 100
    assert not first.info()["complete"]
    with pytest.raises(ValueError, match="The build did not end"):
        first.join(vectors)
    with pytest.raises(
        keras_kd.StaleCacheError, match=r"2 of 3 parts .*\(0, 3\), \(1, 3\)"
    ):
        keras_kd.TeacherCache.open(first.path)
    build(vectors, shard=(0, 3))
    cache = build(vectors, shard=(1, 3))
    assert len(cache) == 100
    assert cache.info()["complete"]
    np.testing.assert_allclose(
        stored(cache, vectors)["logits"], numpy_logits(vectors), rtol=1e-5
    )
    with pytest.raises(keras_kd.StaleCacheError, match="divided into 3 parts"):
        build(vectors, shard=(0, 2))


def test_a_teacher_that_fails_leaves_what_is_finished(
    build, numpy_logits, vectors
):
    calls = []

    def failing(x):
        calls.append(len(x))
        if len(calls) == 4:
            raise ConnectionError("the endpoint went away")
        return numpy_logits(x)

    with pytest.raises(ConnectionError, match="went away"):
        build(vectors, failing, batch_size=10, shard_size=10)
    cache = build(vectors, batch_size=10, shard_size=10)
    cache.verify()
    np.testing.assert_allclose(
        stored(cache, vectors)["logits"], numpy_logits(vectors), rtol=1e-5
    )


def test_info_is_json(build, vectors):
    import json

    cache = build(vectors, top_k=2, dtype="float16")
    info = json.loads(json.dumps(cache.info()))
    assert info["examples"] == 100
    assert info["top_k"] == 2
    assert info["complete"] is True
    files = cache.path.rglob("*")
    assert info["size_bytes"] == sum(f.stat().st_size for f in files)


def test_progress_says_how_fast(vectors, tmp_path, capsys, numpy_logits):
    keras_kd.TeacherCache.build(
        tmp_path / "cache",
        numpy_logits,
        vectors,
        teacher_output="logits",
        teacher_id="numpy",
    )
    assert "teacher cache: done in" in (text := capsys.readouterr().err)
    assert "100 examples" in text
    assert "/s" in text
