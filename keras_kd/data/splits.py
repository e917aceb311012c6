"""Loads image classification sets by name, ready for training."""

from dataclasses import dataclass
from dataclasses import fields
from typing import Any

import numpy as np
import tensorflow as tf

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement
from keras_kd.data.bundled import DIGITS_LEVELS
from keras_kd.data.bundled import digits_uint8
from keras_kd.data.images import Images
from keras_kd.data.images import read_images
from keras_kd.data.pipeline import pipeline

_SUBJECT = "load"

# The held-out images are the same for every `seed`, so that runs with
# different seeds are measured on the same images.
_HOLD_OUT_SEED = 20150309


@dataclass(frozen=True)
class Splits:
    """The parts of a data set, with its shapes and classes.

    Args:
        name: The name it was loaded by.
        train: Shuffled batches of `(x, y)`, in a new order at each pass.
        validation: Batches in a fixed order; `None` if none was held out.
        test: Batches in a fixed order.
        input_shape: Shape of one image, `(height, width, channels)`.
        num_classes: Number of classes.
        class_names: Their names, in the order of the labels.
        num_train: Examples in `train`.
        num_validation: Examples in `validation`.
        num_test: Examples in `test`.
        batch_size: Examples per batch.
        seed: Seed of the order of `train`, and of the choice of `max_train`.

    Shapes:
        x: `(batch, height, width, channels)`, float32 in [0, 1].
        y: `(batch,)`, int32.

    Example:
    >>> import keras_kd
    >>> keras_kd.data.load("digits").describe()["num_classes"]
    10
    """

    name: str
    train: tf.data.Dataset
    validation: tf.data.Dataset | None
    test: tf.data.Dataset
    input_shape: tuple[int, ...]
    num_classes: int
    class_names: tuple[str, ...]
    num_train: int
    num_validation: int
    num_test: int
    batch_size: int
    seed: int

    def describe(self) -> dict[str, Any]:
        """Return everything except the data, as JSON values."""
        data = ("train", "validation", "test")
        described = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in data
        }
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in described.items()
        }


def load(
    name: str,
    *,
    batch_size: int = 64,
    seed: int = 0,
    validation_share: float = 0.1,
    max_train: int | None = None,
    drop_remainder: bool = False,
) -> Splits:
    """Load an image classification set by name.

    `"digits"` comes with the package; every other name is a set of
    TensorFlow Datasets. It is read from the folder `TFDS_DATA_DIR` if that
    variable is set, and downloaded only if it is not there yet. The images
    are decoded once and held in memory as bytes (CIFAR-10: 184 MB); a set
    that would take more than 4 GiB is refused.

    If a set has no test part, a tenth of its training images is held out as
    one. If it has no validation part, a share of the remaining training
    images is held out. Both are the same images for every `seed`.

    Args:
        name: `"digits"`, or a name such as `"mnist"`.
        batch_size: Examples per batch, at least 1. Defaults to 64.
        seed: Seed of the training order and of the images that `max_train`
            keeps.
        validation_share: Share of the training images to hold out if the set
            has no validation part, at least 0 and below 1. Defaults to 0.1;
            0 gives `validation=None`.
        max_train: Keep only this many training images, for quick runs.
            Defaults to all.
        drop_remainder: Whether to drop a last training batch that is not
            full. Defaults to `False`.

    Returns:
        The `Splits`.

    Raises:
        ImportError: If TensorFlow Datasets is needed and not installed.
        ValueError: If no set has that name (offers the nearest), it does not
            consist of equally sized images with a label each, or it is too
            big.
        OSError: If it cannot be downloaded.

    Example:
    >>> import keras_kd
    >>> splits = keras_kd.data.load("digits", max_train=100, batch_size=50)
    >>> splits.num_train, splits.num_validation, splits.num_test
    (100, 129, 500)
    """
    check_integer(_SUBJECT, "batch_size", batch_size, low=1)
    check_integer(_SUBJECT, "seed", seed, low=0)
    check_number(_SUBJECT, "validation_share", validation_share, low=0)
    if validation_share >= 1:
        raise ValueError(
            requirement(
                _SUBJECT, "validation_share", "below 1", validation_share
            )
        )
    if max_train is not None:
        check_integer(_SUBJECT, "max_train", max_train, low=1)

    def choose(num_train: int, held: dict[str, int]) -> dict[str, np.ndarray]:
        return _choose(num_train, held, validation_share, max_train, seed)

    images = _digits(choose) if name == "digits" else read_images(name, choose)
    counts = {part: len(y) for part, (_, y) in images.parts.items()}

    def batched(part: str) -> tf.data.Dataset | None:
        if not counts.get(part):
            return None
        training = part == "train"
        return pipeline(
            images.parts[part],
            batch_size=batch_size,
            seed=seed if training else None,
            scale=1 / images.levels,
            drop_remainder=drop_remainder and training,
        )

    if drop_remainder and counts["train"] < batch_size:
        raise ValueError(
            requirement(
                _SUBJECT,
                "batch_size",
                f"at most the {counts['train']} training images when "
                "`drop_remainder` is set",
                batch_size,
            )
        )
    return Splits(
        name=name,
        train=batched("train"),
        validation=batched("validation"),
        test=batched("test"),
        input_shape=images.input_shape,
        num_classes=len(images.class_names),
        class_names=images.class_names,
        num_train=counts["train"],
        num_validation=counts.get("validation", 0),
        num_test=counts["test"],
        batch_size=batch_size,
        seed=seed,
    )


def _choose(
    num_train: int,
    held: dict[str, int],
    validation_share: float,
    max_train: int | None,
    seed: int,
) -> dict[str, np.ndarray]:
    """Choose training rows for each part that is not in `held`."""
    rows = np.random.default_rng(_HOLD_OUT_SEED).permutation(num_train)
    chosen = {}
    shares = {"test": 0.1, "validation": validation_share}
    for part, share in shares.items():
        if part not in held:
            count = int(len(rows) * share)
            chosen[part], rows = np.sort(rows[:count]), rows[count:]
    rows = np.sort(rows)
    if max_train is not None:
        shuffled = np.random.default_rng(seed).permutation(rows)
        rows = np.sort(shuffled[:max_train])
    return {"train": rows, **chosen}


def _digits(choose: Any) -> Images:
    x_train, y_train, x_test, y_test = digits_uint8()
    rows = choose(len(y_train), {"test": len(y_test)})
    parts = {
        part: (x_train[kept], y_train[kept].astype("int32"))
        for part, kept in rows.items()
    }
    parts["test"] = (x_test, y_test.astype("int32"))
    names = tuple(str(digit) for digit in range(10))
    return Images(parts, x_train.shape[1:], names, DIGITS_LEVELS)
