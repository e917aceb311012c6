"""Records: sizes, bounds on their error, top-k against NumPy in float64."""

import keras
import numpy as np
import pytest

from keras_kd.teachers.cache.encoding import Encoding
from keras_kd.teachers.cache.encoding import top_k_mass
from keras_kd.teachers.cache.structure import Leaf
from keras_kd.teachers.cache.structure import describe


def there_and_back(outputs, dtype="float16", top_k=None):
    encoding = Encoding(describe(outputs), dtype, top_k)
    decoded = encoding.decode(encoding.encode(outputs))
    return keras.tree.traverse(
        lambda node: np.array(node.dense()) if hasattr(node, "dense") else None,
        decoded,
    )


def random_logits(shape=(50, 20), scale=4.0):
    values = np.random.default_rng(1).normal(size=shape) * scale
    return values.astype("float32")


def softmax(logits):
    values = np.exp(logits.astype("float64") - logits.max(-1, keepdims=True))
    return values / values.sum(-1, keepdims=True)


def test_float32_is_exact():
    logits = random_logits()
    logits[0, 3] = -np.inf
    got = there_and_back({"logits": logits}, "float32")["logits"]
    np.testing.assert_array_equal(got, logits)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0, 1e4])
@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_float16_is_within_the_stated_bound(scale, shift):
    logits = random_logits(scale=scale) + np.float32(shift)
    got = there_and_back({"logits": logits})["logits"]
    below = logits.max(-1, keepdims=True) - logits
    # Plus the float32 rounding of the sum.
    bound = below / 2048 + 3e-8 + 2 * np.spacing(np.abs(logits))
    assert (np.abs(got - logits) <= bound).all()


def test_masked_logits_stay_masked_in_float16():
    logits = random_logits()
    logits[:, 4] = -np.inf
    got = there_and_back({"logits": logits})["logits"]
    assert np.isneginf(got[:, 4]).all()


@pytest.mark.parametrize("top_k", [1, 3, 19, 20])
@pytest.mark.parametrize("shape", [(7, 20), (3, 4, 20)], ids=str)
def test_top_k_keeps_the_largest_and_spreads_the_rest(top_k, shape):
    logits = random_logits(shape)
    got = there_and_back({"logits": logits}, "float32", top_k)["logits"]
    probabilities = softmax(logits).reshape(-1, 20)
    for row, wanted in zip(got.reshape(-1, 20), probabilities, strict=True):
        largest = np.argsort(-wanted)[:top_k]
        others = np.setdiff1d(np.arange(20), largest)
        restated = np.full(20, 0.0)
        restated[largest] = wanted[largest]
        if len(others):
            restated[others] = wanted[others].sum() / len(others)
        np.testing.assert_allclose(np.exp(row), restated, rtol=2e-5)


def test_top_k_float16_bound():
    logits = random_logits()
    exact = there_and_back({"logits": logits}, "float32", 5)["logits"]
    got = there_and_back({"logits": logits}, "float16", 5)["logits"]
    assert (np.abs(got - exact) <= np.abs(exact) / 2048 + 3e-8).all()


def test_the_rest_is_right_where_one_minus_p_is_not():
    logits = np.array([[0.0, -60.0, -61.0]], "float32")
    _, top, rest = top_k_mass(logits, 1)
    assert abs(top[0, 0]) < 1e-20
    np.testing.assert_allclose(
        rest, np.log(np.exp(-60.0) + np.exp(-61.0)), rtol=1e-6
    )


def test_all_classes_leave_no_rest():
    classes, _, rest = top_k_mass(random_logits((3, 4)), 4)
    assert np.isneginf(rest).all()
    assert sorted(classes[0].tolist()) == [0, 1, 2, 3]


def test_equal_logits_are_taken_by_class():
    classes, _, _ = top_k_mass(np.zeros((2, 5), "float32"), 5)
    assert classes.tolist() == [[0, 1, 2, 3, 4]] * 2


@pytest.mark.parametrize(
    ("classes", "top_k", "dtype", "size"),
    [
        (1000, 10, "float16", 4 + 4 * 10),
        (65_536, 10, "float16", 4 + 4 * 10),
        (65_537, 10, "float16", 4 + 6 * 10),
        (1000, 10, "float32", 4 + 6 * 10),
        (1000, None, "float16", 4 + 2 * 1000),
        (1000, None, "float32", 4 * 1000),
    ],
)
def test_the_size_of_a_record(classes, top_k, dtype, size):
    outputs = {"logits": Leaf((classes,), "float32")}
    assert Encoding(outputs, dtype, top_k).record.itemsize == size


def test_many_classes_keep_their_numbers():
    logits = np.zeros((2, 70_000), "float32")
    logits[[0, 1], [69_999, 65_536]] = 20.0
    got = there_and_back({"logits": logits}, "float16", 2)["logits"]
    assert got.argmax(-1).tolist() == [69_999, 65_536]


def test_structures_and_features_come_back():
    outputs = {
        "logits": {"b": random_logits((4, 3)), "a": [random_logits((4, 2, 5))]},
        "features": {"x/y": random_logits((4, 2, 2, 6)), "a": np.ones((4, 1))},
    }
    got = there_and_back(outputs, "float32")
    np.testing.assert_array_equal(got["logits"]["b"], outputs["logits"]["b"])
    np.testing.assert_array_equal(
        got["logits"]["a"][0], outputs["logits"]["a"][0]
    )
    for name, value in outputs["features"].items():
        np.testing.assert_array_equal(got["features"][name], value)
        assert got["features"][name].dtype == np.float32


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_a_logit_is_refused(value):
    logits = random_logits((4, 3))
    logits[2, 1] = value
    with pytest.raises(ValueError, match=r"finite logits.*example 2"):
        there_and_back({"logits": logits})


def test_a_row_of_minus_infinity_is_refused():
    logits = random_logits((4, 3))
    logits[1] = -np.inf
    with pytest.raises(ValueError, match="example 1"):
        there_and_back({"logits": logits})


@pytest.mark.parametrize(
    ("name", "top_k", "what"),
    [
        ("logits", None, "logits of size"),
        ("logits", 2, "log-probabilities of size"),
        ("features", None, "features of size"),
    ],
)
def test_what_float16_cannot_hold_is_refused(name, top_k, what):
    values = np.array([[0.0, -70_000.0, -80_000.0]], "float32")
    outputs = (
        {"features": {"f": values}}
        if name == "features"
        else {"logits": values}
    )
    with pytest.raises(ValueError, match=rf'{what} .*Use dtype="float32"'):
        there_and_back(outputs, "float16", top_k)
    there_and_back(outputs, "float32", top_k)


def test_more_classes_than_there_are():
    with pytest.raises(ValueError, match="`top_k` to be at most 3"):
        Encoding({"logits": Leaf((3,), "float32")}, "float16", 4)


def test_open_shapes_and_other_shapes_are_refused():
    with pytest.raises(ValueError, match="fixed shape"):
        Encoding({"logits": Leaf((None, 3), "float32")}, "float16", None)
    encoding = Encoding({"logits": Leaf((3,), "float32")}, "float16", None)
    with pytest.raises(ValueError, match="outputs have one shape"):
        encoding.encode({"logits": np.zeros((2, 4))})
