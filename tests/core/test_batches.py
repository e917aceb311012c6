import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_kd.core.batches import batches

X = np.arange(20, dtype="float32").reshape(10, 2)
Y = np.arange(10, dtype="int32")
W = np.linspace(0.0, 1.0, 10, dtype="float32")


class _Pairs(keras.utils.PyDataset):
    def __init__(self, length):
        super().__init__()
        self._count = length

    @property
    def num_batches(self):
        return self._count

    def __getitem__(self, index):
        return X[index * 5 : index * 5 + 5], Y[index * 5 : index * 5 + 5]


@pytest.mark.parametrize(
    "dataset",
    [
        pytest.param((X, Y, W), id="arrays"),
        pytest.param(
            tf.data.Dataset.from_tensor_slices((X, Y, W)).batch(4), id="tf.data"
        ),
        pytest.param((tf.constant(X), Y, W), id="tensors"),
    ],
)
def test_batches_joined_are_the_dataset(dataset):
    got = list(batches(dataset, batch_size=4))
    assert [len(x) for x, _, _ in got] == [4, 4, 2]
    for part, expected in enumerate((X, Y, W)):
        joined = np.concatenate([batch[part] for batch in got])
        np.testing.assert_array_equal(joined, expected)
        assert isinstance(got[0][part], np.ndarray)
        assert joined.dtype == expected.dtype


def test_missing_parts_are_none():
    assert [b[1:] for b in batches(X)] == [(None, None)]
    assert [b[2] for b in batches((X, Y))] == [None]
    _, y, w = next(batches((X, None, W)))
    assert y is None
    np.testing.assert_array_equal(w, W)


def test_structures_are_kept():
    x, y, _ = next(batches(({"a": X, "b": [X, Y]}, Y), batch_size=3))
    assert sorted(x) == ["a", "b"]
    np.testing.assert_array_equal(x["b"][1], [0, 1, 2])
    np.testing.assert_array_equal(y, [0, 1, 2])
    x, y, _ = next(batches([X, Y], batch_size=3))
    assert y is None
    assert len(x) == 2


def test_py_dataset():
    got = list(batches(_Pairs(2)))
    np.testing.assert_array_equal(np.concatenate([y for _, y, _ in got]), Y)


@pytest.mark.parametrize(
    ("dataset", "error", "match"),
    [
        pytest.param(
            tf.data.Dataset.from_tensor_slices((X, Y)),
            ValueError,
            r"`evaluate` needs `dataset` to be batched.*Add `.batch\(64\)`",
            id="unbatched",
        ),
        pytest.param(
            tf.data.Dataset.from_tensor_slices((X, Y)).batch(2).repeat(),
            ValueError,
            "to be finite.*Remove `repeat",
            id="endless",
        ),
        pytest.param(
            tf.data.Dataset.from_tensor_slices((X, Y)).batch(2).take(0),
            ValueError,
            "to be non-empty",
            id="empty",
        ),
        pytest.param(_Pairs(None), ValueError, "finite", id="endless-py"),
        pytest.param(_Pairs(0), ValueError, "non-empty", id="empty-py"),
        pytest.param((X[:0], Y[:0]), ValueError, "non-empty", id="no-rows"),
        pytest.param((X, Y[:3]), ValueError, "lengths 3, 10", id="lengths"),
        pytest.param((X, Y, W, W), ValueError, "a tuple of 4", id="four"),
        pytest.param("data", TypeError, "a batched tf.data.Data", id="string"),
        pytest.param((X, 3), TypeError, "dataset=3", id="scalar"),
        pytest.param(None, TypeError, "dataset=None", id="none"),
    ],
)
def test_bad_datasets(dataset, error, match):
    with pytest.raises(error, match=match):
        list(batches(dataset))


def test_checked_at_the_call():
    endless = tf.data.Dataset.from_tensor_slices((X, Y)).batch(2).repeat()
    with pytest.raises(ValueError, match="`verify` needs"):
        batches(endless, subject="verify")
    with pytest.raises(ValueError, match="batch_size=0"):
        batches((X, Y), batch_size=0)
