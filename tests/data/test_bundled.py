import zipfile
from pathlib import Path

import numpy as np
import pytest

import keras_kd.data.bundled
from keras_kd.data import digits

FOLDER = Path(keras_kd.data.bundled.__file__).parent


def test_shapes_types_and_range():
    (x_train, y_train), (x_test, y_test) = digits()
    assert x_train.shape == (1297, 8, 8, 1)
    assert x_test.shape == (500, 8, 8, 1)
    for x, y in ((x_train, y_train), (x_test, y_test)):
        assert x.dtype == np.float32
        assert y.dtype == np.int32
        assert x.min() == 0.0
        assert x.max() == 1.0
        assert len(x) == len(y)


def test_split_is_fixed_and_stratified():
    (x_train, y_train), (x_test, y_test) = digits()
    np.testing.assert_array_equal(np.bincount(y_test), [50] * 10)
    np.testing.assert_array_equal(
        np.bincount(y_train), [128, 132, 127, 133, 131, 132, 131, 129, 124, 130]
    )
    # Sums taken when the file was made.
    assert int((x_train * 16).astype(int).sum()) == 405933
    assert int((x_test * 16).astype(int).sum()) == 155785
    assert int((y_train * np.arange(1297)).sum()) == 3809080


def test_no_pickle_and_the_attribution_is_there():
    with zipfile.ZipFile(FOLDER / "digits.npz") as archive:
        for member in archive.namelist():
            with archive.open(member) as file:
                major, _ = np.lib.format.read_magic(file)
                header = np.lib.format.read_array_header_1_0(file)
            assert major == 1
            assert header[2] == np.uint8
    assert (FOLDER / "digits.npz").stat().st_size < 100_000
    text = (FOLDER / "digits.txt").read_text()
    for words in ("Alpaydin", "Kaynak", "CC BY\n4.0", "default_rng(0)"):
        assert words in text


def test_digits_are_scikit_learns_under_the_documented_rule():
    datasets = pytest.importorskip(
        "sklearn.datasets", reason="needs the package scikit-learn"
    )
    images, labels = datasets.load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    test = np.sort(
        np.concatenate(
            [
                rng.permutation(np.flatnonzero(labels == c))[:50]
                for c in range(10)
            ]
        )
    )
    train = np.setdiff1d(np.arange(1797), test)
    for (x, y), rows in zip(digits(), (train, test), strict=True):
        np.testing.assert_array_equal(x.reshape(-1, 64) * 16, images[rows])
        np.testing.assert_array_equal(y, labels[rows])


def test_each_call_gives_new_arrays():
    (first, _), _ = digits()
    first[:] = 7.0
    (second, _), _ = digits()
    assert second.max() == 1.0
