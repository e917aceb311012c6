"""Damaged records are noticed when they are read, and each shard once."""

import keras
import pytest
import tensorflow as tf

import keras_kd
from keras_kd.teachers.cache import graph_lookup
from keras_kd.teachers.cache import shards
from keras_kd.teachers.cache import store

DAMAGED = "part-1-of-2-00001.shard.*not match its checksum.*build again"


@pytest.fixture
def folder(build, vectors):
    """Two parts of several shards."""
    for part in range(2):
        cache = build(vectors, shard=(part, 2), shard_size=16, top_k=2)
    return cache.path


@pytest.fixture(params=["graph", "memory", "mapped", "remapped"])
def opened(request, monkeypatch):
    """Open a cache that reads in each of the ways."""
    if request.param != "graph":
        monkeypatch.setattr(graph_lookup, "MOST_BYTES", 0)
    if "mapped" in request.param:
        monkeypatch.setattr(store, "_IN_MEMORY_BYTES", 0)
    if request.param == "remapped":
        monkeypatch.setattr(store, "_MAPPED_SHARDS", 1)
    return keras_kd.TeacherCache.open


def flip_a_record(folder):
    shard = folder / "part-1-of-2-00001.shard"
    raw = bytearray(shard.read_bytes())
    raw[-1] ^= 0x40
    shard.write_bytes(raw)


def test_a_damaged_record_is_not_served(folder, vectors, opened):
    flip_a_record(folder)
    cache = opened(folder)
    for _ in range(2):
        with pytest.raises(keras_kd.StaleCacheError, match=DAMAGED):
            cache.join(vectors)


def test_fit_does_not_learn_from_damaged_records(folder, vectors, opened):
    flip_a_record(folder)
    cache = opened(folder)
    student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
    distiller = keras_kd.Distiller(cache, student, alpha=1.0)
    distiller.compile("sgd")
    data = tf.data.Dataset.from_tensor_slices(vectors).batch(50)
    with pytest.raises(keras_kd.StaleCacheError, match=DAMAGED):
        distiller.fit(cache.join(data), verbose=0)


def test_each_shard_is_checked_once(folder, vectors, opened, monkeypatch):
    checked = []

    def is_whole(folder, shard):
        checked.append(shard.name)
        return True

    monkeypatch.setattr(shards, "is_whole", is_whole)
    cache = opened(folder)
    assert checked == []
    for _ in range(2):
        cache.join(vectors)
        cache.join(tf.data.Dataset.from_tensor_slices(vectors).batch(50))
    names = [f.name for f in sorted(folder.glob("*.shard"))]
    assert sorted(checked) == names
