"""Keys: content, and nothing but content."""

import numpy as np
import pytest
import tensorflow as tf
import xxhash

from keras_kd.teachers.cache.hashing import keys
from keras_kd.teachers.cache.hashing import show_key

X = np.arange(12, dtype="float32").reshape(3, 4)


def as_list(x):
    return keys(x).tolist()


def test_a_key_is_xxh3_of_the_bytes_seeded_with_type_and_shape():
    seed = xxhash.xxh3_64_intdigest(b"[('float32', (4,))]")
    digest = xxhash.xxh3_128(X[1].tobytes(), seed=seed).hexdigest()
    assert show_key(keys(X)[1]) == digest


def test_the_place_in_the_batch_and_in_memory_do_not_count():
    wide = np.zeros((3, 8), "float32")
    wide[:, ::2] = X
    assert as_list(wide[:, ::2]) == as_list(X)
    assert as_list(X[::-1]) == as_list(X)[::-1]
    assert as_list(np.asfortranarray(X)) == as_list(X)
    assert as_list(X.astype(">f4")) == as_list(X)


@pytest.mark.parametrize(
    "other",
    [
        X.astype("float64"),
        X.view("int32"),
        X.reshape(3, 2, 2),
        [X[:, :2], X[:, 2:]],
        np.where(X == 5, np.nextafter(np.float32(5), 9), X),
        X[:, ::-1],
    ],
    ids=["dtype", "bytes alike", "shape", "two leaves", "one bit", "order"],
)
def test_other_content_has_another_key(other):
    assert not set(map(tuple, as_list(other))) >= set(map(tuple, as_list(X)))


def test_structures_hash_every_leaf_in_the_order_of_names():
    pair = {"b": X, "a": X + 1}
    assert as_list(pair) == as_list([X + 1, X])
    assert as_list(pair) != as_list([X, X + 1])


def test_text_is_hashed_with_its_lengths():
    tensor = tf.constant([["ab", "c"], ["a", "bc"]])
    one, other = as_list(tensor.numpy())
    assert one != other
    assert as_list(np.array([["ab", "c"], ["a", "bc"]])) == [one, other]


def test_scalars_and_bfloat16():
    scalars = keys(np.arange(5))
    assert len({*map(tuple, scalars.tolist())}) == 5
    half = tf.cast(X, tf.bfloat16).numpy()
    assert len({*map(tuple, as_list(half))}) == 3


@pytest.mark.parametrize(
    "x",
    [
        np.array([(1, "a")], dtype=[("n", "i4"), ("o", "O")]),
        np.array([{"a": 1}, None], object),
    ],
    ids=["records", "objects"],
)
def test_objects_are_refused(x):
    with pytest.raises(TypeError, match="hashes numbers and text"):
        keys(x)
