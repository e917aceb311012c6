"""Folders with a folder a class."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from keras_kd.data import load
from keras_kd.data import loading


def levels(dataset):
    """Return the level of each image and its label."""
    found = [(x.numpy(), y.numpy()) for x, y in dataset]
    return {
        (round(float(image.mean() * 255)), int(label))
        for x, y in found
        for image, label in zip(x, y, strict=True)
    }


def test_one_folder_is_split_by_class(photos):
    root = photos({"cat": 20, "dog": 10})
    splits = load(root)
    counts = splits.num_train, splits.num_validation, splits.num_test
    assert counts == (24, 3, 3)
    assert splits.class_names == ("cat", "dog")
    assert (splits.kind, splits.input_shape) == ("images", (6, 6, 3))
    parts = [
        levels(part) for part in (splits.train, splits.validation, splits.test)
    ]
    assert set.union(*parts) == {(i, int(i > 20)) for i in range(1, 31)}
    assert sum(map(len, parts)) == 30
    for part in parts[1:]:
        assert sorted(label for _, label in part) == [0, 0, 1]
    assert "of several sizes are resized to 6 x 6" not in splits.notes
    assert any("resized to 6 x 6" in note for note in splits.notes)


def test_the_same_files_give_the_same_parts(photos):
    root = photos({"a": 12, "b": 12})
    first, second = load(root, seed=1), load(root, seed=2)
    assert levels(first.test) == levels(second.test)
    assert first.split == second.split
    json.dumps(first.describe())


def test_parts_above_the_classes(photos):
    photos({"a": 4, "b": 4}, "train")
    photos({"a": 2, "b": 1}, "val", level=100)
    root = photos({"a": 1, "b": 2}, "test", level=200)
    splits = load(root)
    assert set(splits.split.values()) == {"given"}
    assert levels(splits.validation) == {(101, 0), (102, 0), (103, 1)}
    assert levels(splits.test) == {(201, 0), (202, 1), (203, 1)}


@pytest.mark.parametrize("suffix", ["jpg", "bmp", "webp", "gif"])
def test_kinds_of_images(photos, suffix):
    root = photos({"a": 3, "b": 3}, suffix=suffix)
    splits = load(root, validation_share=0, test_share=0)
    assert splits.test is None
    assert splits.num_train == 6
    x = next(iter(splits.train))[0].numpy() * 255
    means = np.sort(x.mean((1, 2, 3)))
    np.testing.assert_allclose(means, np.arange(1, 7), atol=1.1)


def test_a_teacher_decides_size_and_channels(photos):
    root = photos({"a": 9, "b": 9}, channels=1)
    teacher = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    teacher.layers[-1].set_weights(
        [np.tile([[0.0, 1 / 48]], (48, 1)), np.array([0.0, -9.5 / 255])]
    )
    splits = load(root, teacher=teacher)
    assert (splits.input_shape, splits.scale) == ((4, 4, 3), "0..255")
    x, y = next(iter(splits.train))
    np.testing.assert_array_equal(x[..., 0], x[..., 2])
    np.testing.assert_array_equal(x.numpy().max((1, 2, 3)) > 9, y == 1)
    said = " ".join(splits.notes)
    assert "resized to 4 x 4" in said
    assert "gray are converted to colour" in said
    assert "takes pixels of 0..255, which its first layers prepare" in said


def test_all_that_is_wrong_is_said_at_once(photos):
    root = photos({"a": 3, "b": 3, "c": 0})
    whole = (root / "a" / "0.png").read_bytes()
    (root / "a" / "0.png").write_bytes(whole[:40])
    (root / "b" / "0.png").write_text("no image")
    teacher = keras.Sequential(
        [keras.Input((6, 6, 3)), keras.layers.Flatten(), keras.layers.Dense(5)],
        name="judge",
    )
    with pytest.raises(ValueError, match="It has:\n- ") as caught:
        load(root, teacher=teacher)
    message = str(caught.value)
    assert "the class folder c/ has no images" in message
    assert "2 unreadable files: a/0.png (" in message
    assert "b/0.png (" in message
    assert "the 3 classes a, b, c, and `judge` has 5 outputs" in message


def test_many_unreadable_files_are_counted(photos):
    root = photos({"a": 2})
    for i in range(14):
        (root / "a" / f"broken{i:02}.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ValueError, match="14 unreadable.*and 4 more") as caught:
        load(root)
    assert "broken09" in str(caught.value)
    assert "broken10" not in str(caught.value)


def test_files_of_other_kinds_are_said(photos):
    root = photos({"a": 12})
    (root / "a" / "x.heic").write_bytes(b"")
    (root / "a" / ".DS_Store").write_bytes(b"")
    notes = load(root).notes
    assert any("not read: 1 .heic." in note for note in notes)


def test_test_images_that_are_trained_on_are_said(photos):
    photos({"a": 3, "b": 3}, "train")
    root = photos({"a": 1, "b": 2}, "test")
    message = r"1 test example also among .*test/a/0\.png"
    with pytest.warns(UserWarning, match=message):
        load(root)


def test_equal_files_stay_in_one_part(photos):
    root = photos({"a": 10, "b": 10})
    for i in range(10):
        copy = (root / "a" / f"{i}.png").read_bytes()
        (root / "a" / f"again{i}.png").write_bytes(copy)
    splits = load(root, test_share=0.3)
    parts = [levels(p) for p in (splits.train, splits.validation, splits.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 20


def test_a_class_that_was_not_trained_is_refused(photos):
    photos({"a": 3, "b": 3}, "train")
    root = photos({"a": 1, "x": 1}, "test", level=90)
    with pytest.raises(ValueError, match="test/x/ is no class of the training"):
        load(root)


@pytest.mark.parametrize(
    ("folders", "match"),
    [
        pytest.param([], "It has 0 files and no folders", id="empty"),
        pytest.param(["a", "b"], "The folders in it hold no files", id="bare"),
        pytest.param(
            ["train/a", "test/a", "old"], "It has old, test, train", id="mixed"
        ),
    ],
)
def test_folders_of_another_shape(tmp_path, folders, match):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(ValueError, match=match):
        load(tmp_path)


def test_large_folders_are_streamed(photos, monkeypatch):
    root = photos({"a": 10, "b": 10})
    held = load(root)
    monkeypatch.setattr(loading, "MEMORY_LIMIT_BYTES", 100)
    streamed = load(root, batch_size=4)
    assert streamed.streamed
    assert len(streamed.train) == 4
    for part in ("train", "validation", "test"):
        assert levels(getattr(streamed, part)) == levels(getattr(held, part))


def test_transparent_and_indexed_images(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    color = Image.fromarray(np.full((4, 4, 3), 102, np.uint8))
    color.convert("RGBA").save(tmp_path / "a" / "clear.png")
    color.convert("P").save(tmp_path / "a" / "indexed.png")
    color.convert("L").save(tmp_path / "b" / "gray.png")
    splits = load(tmp_path, validation_share=0, test_share=0)
    x = next(iter(splits.train))[0].numpy()
    np.testing.assert_allclose(x, np.full((3, 4, 4, 3), 0.4), atol=0.01)


def test_recordings_are_made_equal(tmp_path, write_wav):
    for i in range(5):
        write_wav(tmp_path / "low" / f"{i}.wav", np.full(40 + i, 0.25))
        write_wav(tmp_path / "high" / f"{i}.wav", np.full(30 + i, 0.5))
    write_wav(tmp_path / "high" / "fast.wav", np.full(60, 0.75), rate=1600)
    splits = load(tmp_path, validation_share=0, test_share=0)
    assert (splits.kind, splits.input_shape) == ("audio", (44, 1))
    x, y = next(iter(splits.train))
    starts = x[:, 10, 0].numpy()
    assert set(np.round(starts[y == 0], 2)) == {0.5, 0.75}
    assert (np.count_nonzero(x[..., 0], axis=1) >= 30).all()
    said = " ".join(splits.notes)
    assert "1 recording resampled to 800 Hz" in said
    assert "44 samples, the longest" in said


def test_a_teacher_of_recordings_decides_their_length(tmp_path, write_wav):
    for i in range(4):
        write_wav(tmp_path / "a" / f"{i}.wav", np.full(40 + i, 0.25))
        write_wav(tmp_path / "b" / f"{i}.wav", np.full(30 + i, 0.5))
    teacher = keras.Sequential([keras.Input((32,)), keras.layers.Dense(2)])
    teacher.set_weights(
        [np.tile([[-1.0, 1.0]], (32, 1)), np.array([12.0, -12.0])]
    )
    splits = load(tmp_path, teacher=teacher)
    assert splits.input_shape == (32,)
    assert any("the longest has 43" in note for note in splits.notes)
    spectrograms = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    with pytest.raises(ValueError, match="MelSpectrogram"):
        load(tmp_path, teacher=spectrograms)


def test_texts(tmp_path):
    for name, text in (("bad", "worse than"), ("good", "better than")):
        (tmp_path / name).mkdir()
        for i in range(10):
            (tmp_path / name / f"{i}.txt").write_text(f"{text} {i} é")
    (tmp_path / "bad" / "broken.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ValueError, match=r"bad/broken\.txt"):
        load(tmp_path)
    (tmp_path / "bad" / "broken.txt").unlink()
    splits = load(tmp_path)
    assert (splits.kind, splits.input_shape) == ("text", ())
    x, y = next(iter(splits.test))
    assert [text.decode()[:5] for text in x.numpy()] == ["worse", "bette"]
    assert y.numpy().tolist() == [0, 1]
