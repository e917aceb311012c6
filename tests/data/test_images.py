import importlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_kd.data import images
from keras_kd.data import load

FOLDER = os.environ.get("TFDS_DATA_DIR", "")


def _needs(name):
    missing = not (FOLDER and Path(FOLDER, name).is_dir())
    return pytest.mark.skipif(
        missing, reason=f"needs the data set {name} in TFDS_DATA_DIR"
    )


@pytest.fixture
def tfds():
    return pytest.importorskip(
        "tensorflow_datasets", reason="needs the package tensorflow-datasets"
    )


@pytest.mark.slow
@_needs("mnist")
def test_mnist_is_what_tfds_reads(tfds):
    splits = load("mnist", max_train=40, batch_size=40)
    assert splits.input_shape == (28, 28, 1)
    assert (splits.num_train, splits.num_validation) == (40, 6000)
    raw = tfds.load("mnist", split="test[:40]", as_supervised=True)
    expected = [(x / 255, y) for x, y in raw.as_numpy_iterator()]
    x, y = next(iter(splits.test))
    np.testing.assert_allclose(x, [x for x, _ in expected], atol=1e-7)
    np.testing.assert_array_equal(y, [y for _, y in expected])


@pytest.mark.slow
@_needs("cifar10_jpeg")
def test_a_set_without_code_and_its_class_names(tfds):
    splits = load("cifar10_jpeg", max_train=10)
    assert splits.class_names[:2] == ("airplane", "automobile")
    assert splits.input_shape == (32, 32, 3)


@_needs("clinc_oos")
def test_a_text_set_is_refused(tfds):
    with pytest.raises(ValueError, match=r"text \(Text\), intent \(Tensor\)"):
        load("clinc_oos")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        pytest.param("cifar", "Did you mean 'cifar10'", id="nearest"),
        pytest.param("digit", "Did you mean 'digits'", id="bundled"),
        pytest.param("Not a name!", "an image classification set", id="odd"),
    ],
)
def test_unknown_names(tfds, name, match):
    with pytest.raises(ValueError, match=match):
        load(name)


def test_a_folder_is_no_name_to_offer(tfds, tmp_path, monkeypatch):
    (tmp_path / "img").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(ValueError, match="`img` is a folder here") as caught:
        load("img")
    assert "Did you mean" not in str(caught.value)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match=r"keras-kd\[datasets\]"):
        load("mnist")
    assert load("digits").num_test == 500


@pytest.fixture
def small(tfds, tmp_path, monkeypatch):
    """Prepare tiny sets in TFDS' own format; return what makes one."""
    pytest.importorskip(
        "importlib_resources",
        reason="preparing sets needs the package importlib_resources",
    )
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))

    def make(name, shape=(4, 4, 3), parts=None, label=0):
        rng = np.random.default_rng(0)
        size = [side or 5 for side in shape]
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            data_dir=tmp_path,
            split_datasets={
                part: [
                    (
                        row,
                        {
                            "image": rng.integers(0, 256, size, np.uint8),
                            "label": label if label < 0 else row % 3,
                        },
                    )
                    for row in range(count)
                ]
                for part, count in (parts or {"train": 40}).items()
            },
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=shape, encoding_format="png"
                    ),
                    "label": tfds.features.ClassLabel(names=["a", "b", "c"]),
                }
            ),
        )

    return make


def test_parts_that_are_missing_are_held_out(small):
    small("only_train")
    splits = load("only_train", validation_share=0.25, batch_size=8)
    assert splits.num_test == 4
    assert splits.num_validation == 9
    assert splits.num_train == 27
    rows = [
        bytes(row)
        for part in (splits.train, splits.validation, splits.test)
        for x, _ in part
        for row in x.numpy()
    ]
    assert len(set(rows)) == 40


def test_parts_that_are_there_are_used(small):
    small("all_parts", parts={"train": 20, "validation": 6, "test": 5})
    splits = load("all_parts")
    counts = splits.num_train, splits.num_validation, splits.num_test
    assert counts == (20, 6, 5)


def test_sizes_that_differ_are_refused(small):
    small("any_size", shape=(None, None, 3))
    with pytest.raises(ValueError, match=r"images of shape \(None, None, 3\)"):
        load("any_size")


def test_parts_without_labels_are_refused(small):
    small("no_labels", parts={"train": 10}, label=-1)
    with pytest.raises(ValueError, match="without labels"):
        load("no_labels")


def test_too_big_for_memory(small, monkeypatch):
    small("big")
    monkeypatch.setattr(images, "MEMORY_LIMIT_BYTES", 1000)
    with pytest.raises(ValueError, match="Set `max_train`"):
        load("big")
    assert load("big", max_train=5, validation_share=0).num_train == 5


def test_files_cut_short_are_noticed(small):
    small("short")
    full = importlib.import_module("tensorflow_datasets").builder(
        "short", data_dir=os.environ["TFDS_DATA_DIR"]
    )
    dataset = full.as_dataset("train").map(lambda r: (r["image"], r["label"]))
    with pytest.raises(OSError, match="hold 30 of 40 examples"):
        images._fill(
            dataset.take(30).batch(8), {"train": np.arange(40)}, (4, 4, 3), 40
        )
