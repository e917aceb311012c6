import os
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_kd.data import examples
from keras_kd.data import load
from keras_kd.data import loading
from keras_kd.data.sources.named import read_named
from keras_kd.data.sources.source import Part

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


@pytest.mark.slow
@_needs("clinc_oos")
def test_a_text_set_and_the_names_of_its_classes(tfds):
    splits = load("clinc_oos", max_train=64)
    assert (splits.kind, splits.num_classes) == ("text", 150)
    raw = tfds.load("clinc_oos", split="test[:64]")
    expected = list(raw.as_numpy_iterator())
    x, y = next(iter(splits.test))
    assert x.numpy().tolist() == [row["text"] for row in expected]
    assert [splits.class_names[label] for label in y] == [
        row["intent_name"].decode() for row in expected
    ]
    assert len(read_named("clinc_oos", "domain").class_names) == 10


@pytest.mark.slow
@_needs("spoken_digit_compact")
def test_recordings_are_made_equal_in_length(tfds):
    splits = load("spoken_digit_compact", max_train=8)
    assert (splits.kind, splits.input_shape) == ("audio", (18262, 1))
    raw = next(
        tfds.load("spoken_digit_compact", split="test").as_numpy_iterator()
    )["audio"]
    sound = next(iter(splits.test))[0][0, :, 0].numpy()
    np.testing.assert_allclose(sound[: len(raw)], raw / 32768, atol=1e-7)
    assert not sound[len(raw) :].any()
    assert "padded" in splits.notes[0]


@pytest.mark.parametrize(
    ("name", "match"),
    [
        pytest.param("cifar", "Did you mean 'cifar10'", id="nearest"),
        pytest.param("digit", "Did you mean 'digits'", id="bundled"),
        pytest.param("Not a name!", "a set of TensorFlow Datasets", id="odd"),
    ],
)
def test_unknown_names(tfds, name, match):
    with pytest.raises(ValueError, match=match):
        load(name)


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


def test_images_of_any_size_get_one(small):
    small("any_size", shape=(None, None, 3))
    splits = load("any_size")
    assert splits.input_shape == (5, 5, 3)


def test_a_folder_that_was_written_is_read(small, tmp_path, monkeypatch):
    small("written")
    by_name = load("written")
    monkeypatch.delenv("TFDS_DATA_DIR")
    by_folder = load(tmp_path / "written")
    np.testing.assert_array_equal(
        next(iter(by_folder.test))[0], next(iter(by_name.test))[0]
    )
    assert by_folder.class_names == ("a", "b", "c")


def test_parts_without_labels_are_refused(small):
    small("no_labels", parts={"train": 10}, label=-1)
    with pytest.raises(ValueError, match="without labels"):
        load("no_labels")


def test_what_memory_does_not_hold_is_streamed(small, monkeypatch):
    small("big")
    held = load("big", batch_size=8)
    monkeypatch.setattr(loading, "MEMORY_LIMIT_BYTES", 1000)
    streamed = load("big", batch_size=8)
    assert (held.streamed, streamed.streamed) == (False, True)
    assert len(streamed.train) == len(held.train)
    for part in ("train", "validation", "test"):
        both = [
            sorted(bytes(row) for x, _ in getattr(s, part) for row in x.numpy())
            for s in (held, streamed)
        ]
        assert both[0] == both[1]
    orders = [[y.numpy().tolist() for _, y in streamed.train] for _ in range(2)]
    assert orders[0] != orders[1]


def test_files_cut_short_are_noticed():
    part = Part(40, lambda rows, seed: _numbers(30))
    with pytest.raises(OSError, match="hold 30 of 40 examples"):
        examples._fill(part, {"train": np.arange(40)}, lambda x: x)


def _numbers(count):
    return tf.data.Dataset.from_tensor_slices(
        (np.zeros((count, 2)), range(count))
    )
