import numpy as np
import pytest

from keras_kd.data import load
from keras_kd.data.sources.arrays import labels_of


def images(count=20, dtype="uint8"):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (count, 4, 4, 1)).astype(dtype)
    return x, np.arange(count) % 2


def test_an_archive_with_its_parts(tmp_path):
    x, y = images()
    np.savez(
        tmp_path / "d.npz",
        x_train=x[:10],
        y_train=y[:10],
        x_test=x[10:16],
        y_test=y[10:16],
        x_val=x[16:],
        y_val=y[16:],
    )
    splits = load(tmp_path / "d.npz")
    counts = splits.num_train, splits.num_validation, splits.num_test
    assert counts == (10, 4, 6)
    assert (splits.kind, splits.scale) == ("images", "0..1")
    np.testing.assert_allclose(
        next(iter(splits.test))[0], x[10:16] / 255, atol=1e-6
    )
    assert set(splits.split.values()) == {"given"}


def test_an_archive_without_them(tmp_path):
    np.savez(tmp_path / "d.npz", images=[1], labels=[2])
    with pytest.raises(ValueError, match="It has images, labels"):
        load(tmp_path / "d.npz")


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [(0, 1, "0..1"), (0, 255, "0..255"), (-1, 1, "-1..1")],
)
def test_pixels_that_are_no_bytes_stay_as_they_are(low, high, scale):
    x, y = images(dtype="float32")
    x = low + x / 255 * (high - low)
    splits = load((x, y), validation_share=0, test_share=0, batch_size=20)
    assert splits.scale == scale
    seen = next(iter(splits.train))[0].numpy()
    np.testing.assert_array_equal(np.sort(seen.ravel()), np.sort(x.ravel()))
    asked = load((x, y), scale="0..255", batch_size=20, test_share=0)
    whole = next(iter(asked.train))[0].numpy()
    np.testing.assert_array_equal(whole, np.rint(whole))
    assert whole.max() > 200


def test_standardized_pixels_have_no_range():
    x, y = images(dtype="float32")
    x = (x - 100) / 50
    assert load((x, y)).scale is None
    with pytest.raises(ValueError, match="`scale` cannot convert"):
        load((x, y), scale="0..1")


def test_kinds():
    y = [0, 1] * 10
    for x, kind, shape in (
        (np.zeros((20, 3)) + np.arange(20)[:, None], "numbers", (3,)),
        (np.array([f"text {i}" for i in range(20)]), "text", ()),
        (np.arange(20 * 6).reshape(20, 3, 2), "other", (3, 2)),
        (
            np.arange(20 * 6).reshape(20, 3, 2).astype("uint8"),
            "images",
            (3, 2, 1),
        ),
    ):
        splits = load((x, y))
        assert (splits.kind, splits.input_shape) == (kind, shape)


def test_several_inputs():
    x = {"a": np.arange(20.0)[:, None], "b": np.arange(20)}
    splits = load((x, [0, 1] * 10), kind="other")
    for batch, y in splits.train:
        np.testing.assert_array_equal(batch["a"][:, 0], batch["b"])
        np.testing.assert_array_equal(batch["b"].numpy() % 2, y)


def test_all_that_is_wrong_is_said_at_once():
    x = np.arange(40, dtype="float32").reshape(20, 2)
    x[3, 1] = np.nan
    parts = {"train": (x, [0, 1] * 10), "test": (x[:5, :1] + 100, [0] * 5)}
    with pytest.raises(ValueError, match="It has:\n- ") as caught:
        load(parts)
    message = str(caught.value)
    assert "train: 1 row with NaN or infinite values: row 4" in message
    assert "parts of several shapes: (1,), (2,)" in message


def test_rows_that_are_trained_on_are_said():
    x = np.arange(40, dtype="float32").reshape(20, 2)
    parts = {"train": (x, [0, 1] * 10), "test": (x[:2], [0, 1])}
    with pytest.warns(UserWarning, match="2 test examples also among"):
        load(parts)


@pytest.mark.parametrize(
    ("source", "error", "match"),
    [
        pytest.param(([1, 2], [1]), ValueError, "same length", id="length"),
        pytest.param(([], []), ValueError, "above 0", id="empty"),
        pytest.param({"test": ([1], [1])}, ValueError, "'test'", id="part"),
        pytest.param(3, TypeError, "source=3", id="type"),
    ],
)
def test_other_things_are_refused(source, error, match):
    with pytest.raises(error, match=match):
        load(source)


@pytest.mark.parametrize(
    ("given", "expected", "names"),
    [
        pytest.param(["b", "a", "b"], [1, 0, 1], ("a", "b"), id="names"),
        pytest.param([0, 2], [0, 2], ("0", "1", "2"), id="numbers"),
        pytest.param([5, 9, 5], [0, 1, 0], ("5", "9"), id="not-from-zero"),
        pytest.param([[0, 1], [1, 0]], [1, 0], ("0", "1"), id="one-hot"),
        pytest.param([[1], [0]], [1, 0], ("0", "1"), id="column"),
        pytest.param(["1", "0"], [1, 0], ("0", "1"), id="numbers-as-texts"),
        pytest.param([0.5, 1.0], [0.5, 1.0], (), id="targets"),
        pytest.param([[1, 1], [0, 1]], [[1, 1], [0, 1]], (), id="many-labels"),
    ],
)
def test_labels(given, expected, names):
    (found,), found_names = labels_of([np.array(given)])
    np.testing.assert_array_equal(found, expected)
    assert found_names == names
    assert found.dtype == ("int32" if names else "float32")
