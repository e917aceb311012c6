import json

import numpy as np
import pytest

from keras_kd.data import digits
from keras_kd.data import load


def _joined(dataset):
    parts = [(x.numpy(), y.numpy()) for x, y in dataset]
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def _sorted_rows(x):
    return sorted(map(bytes, np.asarray(x, "float32")))


def test_digits_parts_are_the_bundled_images():
    splits = load("digits")
    (x_train, _), (x_test, y_test) = digits()
    x, y = _joined(splits.test)
    np.testing.assert_array_equal(x, x_test)
    np.testing.assert_array_equal(y, y_test)
    train, validation = _joined(splits.train)[0], _joined(splits.validation)[0]
    assert len(train) == splits.num_train == 1168
    assert len(validation) == splits.num_validation == 129
    assert _sorted_rows(np.concatenate([train, validation])) == _sorted_rows(
        x_train
    )


def test_description_and_specs():
    splits = load("digits", batch_size=32, seed=3)
    described = json.loads(json.dumps(splits.describe()))
    assert described["input_shape"] == [8, 8, 1]
    assert described["class_names"] == list("0123456789")
    assert (described["batch_size"], described["seed"]) == (32, 3)
    x, y = splits.train.element_spec
    assert (x.dtype, x.shape.as_list()) == ("float32", [None, 8, 8, 1])
    assert (y.dtype, y.shape.as_list()) == ("int32", [None])
    assert int(splits.train.cardinality()) == 37
    with pytest.raises(AttributeError):
        splits.name = "other"


def test_order_follows_the_seed_and_changes_each_pass():
    first = load("digits", seed=1)
    passes = [_joined(first.train)[1].tolist() for _ in range(2)]
    assert passes[0] != passes[1]
    again = load("digits", seed=1)
    assert [_joined(again.train)[1].tolist() for _ in range(2)] == passes
    other = load("digits", seed=2)
    assert _joined(other.train)[1].tolist() != passes[0]
    np.testing.assert_array_equal(
        _joined(other.validation)[0], _joined(first.validation)[0]
    )


def test_max_train_keeps_a_seeded_part():
    few = load("digits", max_train=50, seed=1)
    rows = _sorted_rows(_joined(few.train)[0])
    assert len(rows) == few.num_train == 50
    assert rows == _sorted_rows(
        _joined(load("digits", max_train=50, seed=1).train)[0]
    )
    assert rows != _sorted_rows(
        _joined(load("digits", max_train=50, seed=2).train)[0]
    )
    assert set(rows) <= set(_sorted_rows(_joined(load("digits").train)[0]))
    assert few.num_validation == 129


def test_drop_remainder_and_no_validation():
    splits = load(
        "digits", batch_size=100, drop_remainder=True, validation_share=0
    )
    assert splits.validation is None
    assert splits.num_validation == 0
    assert splits.num_train == 1297
    assert len(list(splits.train)) == 12
    assert splits.train.element_spec[0].shape[0] == 100
    assert len(_joined(splits.test)[0]) == 500


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        pytest.param({"batch_size": 0}, "batch_size=0", id="batch"),
        pytest.param({"max_train": 0}, "max_train=0", id="max"),
        pytest.param({"seed": -1}, "seed=-1", id="seed"),
        pytest.param({"validation_share": 1.0}, "below 1", id="share"),
        pytest.param(
            {"max_train": 10, "drop_remainder": True},
            "at most the 10 training images",
            id="nothing-left",
        ),
    ],
)
def test_bad_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        load("digits", **arguments)
