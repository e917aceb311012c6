"""Image classification sets of TensorFlow Datasets, decoded into memory."""

import os
from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import numpy as np

from keras_kd.core.checks import nearest
from keras_kd.core.checks import requirement
from keras_kd.core.imports import optional

MEMORY_LIMIT_BYTES = 4 * 2**30

Choose = Callable[[int, dict[str, int]], dict[str, np.ndarray]]


class Images(NamedTuple):
    """Decoded images and labels.

    Attributes:
        parts: Part name to `(uint8 images, int32 labels)`.
        input_shape: Shape of one image.
        class_names: Names of the classes, in the order of the labels.
        levels: The pixel value that is scaled to 1.0.
    """

    parts: dict[str, tuple[np.ndarray, np.ndarray]]
    input_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    levels: int


def read_images(name: str, choose: Choose) -> Images:
    """Read a TensorFlow Datasets image classification set.

    Args:
        name: Its name.
        choose: Called with the number of training examples and the sizes of
            the set's own validation and test parts. Returns, by part name,
            the rows of the training examples for every part taken from them.

    Raises:
        ImportError: If TensorFlow Datasets is not installed.
        ValueError: If there is no such set, its images are not equally
            sized, or it is too big.
        OSError: If it cannot be downloaded.
    """
    tfds = optional("tensorflow_datasets", "datasets", f"The data set {name!r}")
    builder = _builder(tfds, name)
    image, label = _keys(tfds, builder.info, name)
    _prepare(builder, name)
    shape = tuple(builder.info.features[image].shape)
    sizes = {k: v.num_examples for k, v in builder.info.splits.items()}
    if "train" not in sizes:
        raise _unfit(name, f"the parts {sorted(sizes)}, none of them 'train'")
    held = {k: n for k, n in sizes.items() if k in ("validation", "test")}
    rows = choose(sizes["train"], held)
    total = sum(map(len, rows.values())) + sum(held.values())
    _check_memory(name, total * int(np.prod(shape)))

    def read(part: str, kept: dict[str, np.ndarray]) -> dict[str, Any]:
        dataset = builder.as_dataset(split=part, shuffle_files=False)
        pairs = dataset.map(lambda row: (row[image], row[label]))
        return _fill(pairs.batch(512).prefetch(2), kept, shape, sizes[part])

    parts = read("train", rows)
    for part, count in held.items():
        parts |= read(part, {part: np.arange(count)})
    names = tuple(builder.info.features[label].names)
    for part, (_, labels) in parts.items():
        if labels.size and labels.min() < 0:
            raise _unfit(name, f"a part {part!r} without labels")
    return Images(parts, shape, names, 255)


def check_name(name: str) -> None:
    """Check that TensorFlow Datasets has an image classification set.

    Args:
        name: Its name.

    Raises:
        ImportError: If TensorFlow Datasets is not installed.
        ValueError: If there is no such set.
    """
    tfds = optional("tensorflow_datasets", "datasets", f"The data set {name!r}")
    _keys(tfds, _builder(tfds, name).info, name)


def _builder(tfds: Any, name: str) -> Any:
    """Return the set's builder, which uses prepared files if there are any."""
    try:
        return tfds.builder(name, data_dir=_data_dir())
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        names = tfds.list_builders(with_community_datasets=False)
        folder = _data_dir()
        if folder and os.path.isdir(folder):
            names += sorted(os.listdir(folder))
        raise ValueError(
            requirement(
                "load",
                "name",
                "'digits' or an image classification set of TensorFlow "
                "Datasets",
                name,
                f"`{name}` is a {_kind(name)} here, which cannot be read; "
                "give the name of a set."
                if os.path.exists(name)
                else nearest(name, ["digits", *names]),
            )
        ) from error


def _keys(tfds: Any, info: Any, name: str) -> tuple[str, str]:
    """Return the names of the image and the label feature."""
    features = dict(getattr(info.features, "items", dict)())
    supervised = info.supervised_keys
    image, label = ("image", "label")
    if supervised and all(isinstance(key, str) for key in supervised[:2]):
        image, label = supervised[:2]
    kinds = {key: type(value).__name__ for key, value in features.items()}
    if not (
        isinstance(features.get(image), tfds.features.Image)
        and isinstance(features.get(label), tfds.features.ClassLabel)
    ):
        shown = ", ".join(f"{key} ({kind})" for key, kind in kinds.items())
        raise _unfit(name, f"the features {shown}")
    shape = tuple(features[image].shape)
    if None in shape or np.dtype(features[image].np_dtype) != np.uint8:
        raise _unfit(
            name,
            f"images of shape {shape} and type "
            f"{np.dtype(features[image].np_dtype)}",
        )
    return image, label


def _prepare(builder: Any, name: str) -> None:
    """Download and prepare the set, unless it is already prepared."""
    if builder.info.splits:
        return
    try:
        builder.download_and_prepare()
    except Exception as error:
        raise OSError(
            f"Cannot download the data set {name!r} to "
            f"`{builder.data_dir}`: {error}. Set `TFDS_DATA_DIR` to a folder "
            "that holds it, or use 'digits', which needs no network."
        ) from error


def _fill(
    batches: Any,
    kept: dict[str, np.ndarray],
    shape: tuple[int, ...],
    expected: int,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Copy the kept rows of a part into arrays, one batch at a time."""
    parts = {
        part: (
            np.empty((len(rows), *shape), np.uint8),
            np.empty(len(rows), np.int32),
        )
        for part, rows in kept.items()
    }
    start = 0
    for images, labels in batches.as_numpy_iterator():
        stop = start + len(labels)
        for part, rows in kept.items():
            first, last = np.searchsorted(rows, (start, stop))
            here = rows[first:last] - start
            parts[part][0][first:last] = images[here]
            parts[part][1][first:last] = labels[here]
        start = stop
    # Truncated TFRecord files are read without an error.
    if start != expected:
        raise OSError(
            f"The prepared files hold {start} of {expected} examples. "
            "Remove the data set's folder and prepare it again."
        )
    return parts


def _check_memory(name: str, needed: int) -> None:
    if needed > MEMORY_LIMIT_BYTES:
        raise ValueError(
            requirement(
                "load",
                "name",
                f"a set of at most {MEMORY_LIMIT_BYTES / 2**30:.0f} GiB when "
                "decoded",
                name,
                f"It takes {needed / 2**30:.1f} GiB. Set `max_train`.",
            )
        )


def _unfit(name: str, received: str) -> ValueError:
    return ValueError(
        requirement(
            "load",
            "name",
            "an image classification set: uint8 images of one size and a "
            "class label each",
            name,
            f"That set has {received}.",
        )
    )


def _kind(path: str) -> str:
    return "folder" if os.path.isdir(path) else "file"


def _data_dir() -> str | None:
    return os.environ.get("TFDS_DATA_DIR") or None
