import numpy as np
import pytest

from keras_kd.data import from_arrays

X = np.arange(12, dtype="float64").reshape(6, 2)
Y = np.array([0, 1, 2, 0, 1, 2])


def _rows(dataset):
    return np.concatenate([x.numpy() for x, *_ in dataset])


def test_values_types_and_order():
    dataset = from_arrays(X, Y, np.arange(6), batch_size=4, scale=0.5)
    got = list(dataset)
    assert [len(x) for x, _, _ in got] == [4, 2]
    np.testing.assert_allclose(_rows(dataset), X * 0.5)
    assert [part.dtype.name for part in got[0]] == [
        "float32",
        "int32",
        "float32",
    ]
    np.testing.assert_array_equal(got[1][1], [1, 2])
    np.testing.assert_array_equal(got[1][2], [4, 5])


def test_inputs_alone_and_structures():
    dataset = from_arrays({"a": X, "b": np.arange(6)}, batch_size=6)
    (batch,) = dataset
    assert sorted(batch) == ["a", "b"]
    assert batch["b"].dtype == "int64"
    (batch,) = from_arrays([X, X[:, :1]], batch_size=6)
    assert [leaf.shape[1] for leaf in batch] == [2, 1]
    (batch,) = from_arrays([1, 2, 3], batch_size=6)
    np.testing.assert_array_equal(batch, [1, 2, 3])


def test_shuffle_follows_the_seed_and_changes_each_pass():
    x = np.arange(100)

    def passes(seed):
        dataset = from_arrays(x, x, batch_size=10, shuffle=True, seed=seed)
        return [_rows(dataset).tolist() for _ in range(2)]

    first = passes(1)
    assert passes(1) == first
    assert first[0] != first[1]
    assert passes(2) != first
    assert sorted(first[0]) == sorted(first[1]) == x.tolist()


def test_text_and_one_hot_labels():
    (x, y), *_ = from_arrays(np.array(["a", "b"]), np.eye(2), num_classes=2)
    assert x.numpy().tolist() == [b"a", b"b"]
    assert y.dtype == "float32"


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        pytest.param(
            {"x": X, "y": Y[:3]}, ValueError, r"x \[6\], y \[3\]", id="lengths"
        ),
        pytest.param({"x": X[:0]}, ValueError, "not empty", id="empty"),
        pytest.param(
            {"x": np.full((2, 2), np.nan)},
            ValueError,
            "`x` to be finite. Received: x='4 of 4 values",
            id="nan",
        ),
        pytest.param(
            {"x": X, "y": Y, "sample_weight": [1, 1, 1, 1, 1, np.inf]},
            ValueError,
            "`sample_weight` to be finite",
            id="weight-inf",
        ),
        pytest.param(
            {"x": X, "y": Y, "sample_weight": -np.ones(6)},
            ValueError,
            "at least 0. Received: sample_weight=-1",
            id="weight-negative",
        ),
        pytest.param(
            {"x": X, "sample_weight": np.ones(6)},
            ValueError,
            "`y` to be given where `sample_weight` is",
            id="weight-alone",
        ),
        pytest.param(
            {"x": X, "y": Y, "num_classes": 2},
            ValueError,
            "class numbers from 0 to 1. Received: y='0 to 2'",
            id="label-high",
        ),
        pytest.param(
            {"x": X, "y": Y - 1, "num_classes": 3},
            ValueError,
            "Received: y='-1 to 1'",
            id="label-low",
        ),
        pytest.param(
            {"x": X, "y": Y + 0.5, "num_classes": 3},
            ValueError,
            "class numbers or rows of 3",
            id="label-fraction",
        ),
        pytest.param(
            {"x": np.array([{}, {}])}, TypeError, "dtype object", id="objects"
        ),
        pytest.param(
            {"x": X, "y": np.array(["a"] * 6)},
            TypeError,
            "`y` to be an array of numbers",
            id="text-labels",
        ),
        pytest.param(
            {"x": X, "batch_size": 0}, ValueError, "batch_size=0", id="batch"
        ),
        pytest.param({"x": X, "scale": 0}, ValueError, "scale=0", id="scale"),
    ],
)
def test_bad_arrays(arguments, error, match):
    with pytest.raises(error, match=match):
        from_arrays(**arguments)
