"""Data that is joined already, or joined to a cache of another teacher."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_kd
from keras_kd.teachers.cache import graph_lookup


@pytest.fixture(params=["graph", "python"])
def cache(build, vectors, request, monkeypatch):
    if request.param == "python":
        monkeypatch.setattr(graph_lookup, "MOST_BYTES", 0)
    return build(vectors)


class Batches(keras.utils.PyDataset):
    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.x[50 * index : 50 * index + 50], np.full(50, index)


@pytest.mark.parametrize("prepare", ["joined", "numbered"])
def test_data_that_is_joined_already_is_refused(cache, vectors, prepare):
    number = keras_kd.data.number_examples
    prepared = cache.join if prepare == "joined" else number
    match = f"`dataset` to be plain data. Received: dataset='{prepare} data'"
    data = tf.data.Dataset.from_tensor_slices(vectors).batch(50)
    for plain in (vectors, (vectors, vectors), data, data.unbatch()):
        with pytest.raises(ValueError, match=match):
            cache.join(prepared(plain))


def test_a_py_dataset_that_is_joined_already_is_refused(cache, vectors):
    twice = cache.join(cache.join(Batches(vectors)))
    with pytest.raises(ValueError, match="joined to a teacher's outputs al"):
        twice[0]


@pytest.fixture
def other(build, vectors, tmp_path):
    """A cache of a teacher with other logits of the same shape."""
    return build(
        vectors,
        lambda x: np.asarray(x)[:, [0, 1, 2, 3, 0]],
        path=tmp_path / "other",
        teacher_id="other",
    )


FORMS = {
    "arrays": lambda x: x,
    "pipeline": lambda x: tf.data.Dataset.from_tensor_slices(x).batch(50),
    "sequence": Batches,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_data_joined_to_a_cache_of_another_teacher_is_refused(
    cache, other, vectors, form
):
    student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
    distiller = keras_kd.Distiller(cache, student, alpha=1.0)
    distiller.compile("sgd")
    distiller.fit(cache.join(form(vectors)), verbose=0)
    with pytest.raises(ValueError, match="a cache of another teacher"):
        distiller.fit(other.join(form(vectors)), verbose=0)


def test_two_caches_of_one_teacher_teach_together(
    build, numpy_logits, vectors, tmp_path
):
    def both(x):
        return {"logits": numpy_logits(x), "first": x[:, :1]}

    cache = build(vectors)
    more = build(vectors + 1, both, path=tmp_path / "more", layers=["first"])
    assert cache.source == more.source
    student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
    distiller = keras_kd.Distiller(cache, student, alpha=1.0)
    distiller.compile("sgd")
    distiller.fit(more.join(vectors + 1), verbose=0)
