"""Tiny folders of files."""

import keras
import numpy as np
import pytest
import tensorflow as tf


@pytest.fixture
def photos(tmp_path):
    """Return a function that writes a folder of images, a folder a class.

    Every image has a level of its own, so that it can be recognised.
    """

    def make(counts, under="", suffix="png", channels=3, level=0):
        root = tmp_path / "photos"
        for name, count in counts.items():
            folder = root / under / name
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(count):
                level += 1
                side = 5 + i % 3
                image = np.full((side, 6, channels), level, np.uint8)
                keras.utils.save_img(
                    folder / f"{i}.{suffix}", image, scale=False
                )
        return root

    return make


@pytest.fixture
def write_wav():
    """Return a function that writes a mono recording."""

    def write(path, samples, rate=800):
        path.parent.mkdir(parents=True, exist_ok=True)
        sound = np.asarray(samples, "float32").reshape(len(samples), -1)
        path.write_bytes(tf.audio.encode_wav(sound, rate).numpy())

    return write


def joined(dataset):
    """Return all of a data set as arrays."""
    parts = [(x.numpy(), y.numpy()) for x, y in dataset]
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))
