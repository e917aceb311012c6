import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_kd.data import load
from keras_kd.data import loading

X = np.arange(60, dtype="float32").reshape(30, 2)
Y = np.arange(30) % 3


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        rows = slice(5 * index, 5 * index + 5)
        return X[rows], Y[rows]


def dataset(batched=True):
    found = tf.data.Dataset.from_tensor_slices((X, Y))
    return found.batch(7) if batched else found


def rows(splits):
    return {
        part: sorted(
            (*x, int(y))
            for xs, ys in getattr(splits, part)
            for x, y in zip(xs.numpy().tolist(), ys.numpy(), strict=True)
        )
        for part in ("train", "validation", "test")
    }


@pytest.mark.parametrize("limit", [2**30, 100], ids=["held", "streamed"])
@pytest.mark.parametrize(
    "make",
    [dataset, lambda: dataset(batched=False), Batches],
    ids=["batches", "examples", "PyDataset"],
)
def test_pipelines_are_split(make, limit, monkeypatch):
    monkeypatch.setattr(loading, "MEMORY_LIMIT_BYTES", limit)
    splits = load(make(), batch_size=8)
    assert splits.streamed == (limit == 100)
    assert (splits.kind, splits.num_classes) == ("numbers", 3)
    parts = rows(splits)
    assert [len(part) for part in parts.values()] == [24, 3, 3]
    assert sorted([row for part in parts.values() for row in part]) == [
        (*x, y) for x, y in zip(X.tolist(), Y.tolist(), strict=True)
    ]
    assert parts == rows(load((X, Y)))


def test_parts_of_a_dict():
    splits = load({"train": dataset().take(3), "test": dataset().skip(3)})
    assert (splits.num_train, splits.num_validation) == (18, 3)
    assert splits.num_test == 9


def test_an_order_that_changes_is_noticed(monkeypatch):
    monkeypatch.setattr(loading, "MEMORY_LIMIT_BYTES", 100)
    shuffled = tf.data.Dataset.from_tensor_slices((X, np.arange(30)))
    splits = load(shuffled.shuffle(30).batch(7))
    with pytest.raises(tf.errors.InvalidArgumentError, match="another order"):
        list(splits.train)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: dataset().repeat(), "endless"),
        (lambda: dataset().take(0), "empty"),
        (lambda: dataset().map(lambda x, y: x), "batches `\\(x, y\\)`"),
    ],
    ids=["endless", "empty", "inputs"],
)
def test_other_pipelines_are_refused(make, match):
    with pytest.raises(ValueError, match=match):
        load(make())
