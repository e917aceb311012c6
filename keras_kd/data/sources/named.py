"""Sets of TensorFlow Datasets: by name, or a folder that it wrote."""

import os
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_kd.core.checks import nearest
from keras_kd.core.checks import requirement
from keras_kd.core.imports import optional
from keras_kd.data.sources.source import PARTS
from keras_kd.data.sources.source import Part
from keras_kd.data.sources.source import Source
from keras_kd.data.sources.streams import chosen
from keras_kd.data.sources.streams import shuffled

_INFO = "dataset_info.json"


def read_named(name: str, label: str | None = None) -> Source:
    """Read a classification set of images, recordings or texts.

    Args:
        name: Its name, or a folder with `dataset_info.json`.
        label: Name of the feature to predict; `None` takes the set's own.

    Raises:
        ImportError: If TensorFlow Datasets is not installed.
        ValueError: If there is no such set, or it is of another kind.
        OSError: If it cannot be downloaded.
    """
    tfds = optional("tensorflow_datasets", "datasets", f"The data set {name!r}")
    builder = _builder(tfds, name)
    kind, key, label = _keys(tfds, builder.info, name, label)
    _prepare(builder, name)
    sizes = {k: v.num_examples for k, v in builder.info.splits.items()}
    if "train" not in sizes:
        raise _unfit(name, f"the parts {sorted(sizes)}, none of them 'train'")
    sizes = {part: sizes[part] for part in PARTS if part in sizes}
    features = builder.info.features
    names = tuple(getattr(features[label], "names", None) or ())
    shape = tuple(features[key].shape)
    if kind == "audio" and len(shape) == 1:
        shape = (*shape, 1)
    typical: tuple[int, ...] = ()
    item_bytes = None
    if not names or None in shape or kind == "text":
        seen = _look(builder, key, label, sizes)
        names = names or seen.names
        typical, item_bytes = seen.typical(kind, shape), seen.item_bytes
    return Source(
        name=name,
        kind=kind,
        parts={
            part: _part(builder, (kind, key, label), part, count)
            for part, count in sizes.items()
        },
        class_names=names,
        shape=shape,
        sizes=typical,
        range=(255.0, 0.0) if kind == "images" else None,
        scale="0..1" if kind == "images" else None,
        item_bytes=item_bytes,
    )


def check_name(name: str) -> None:
    """Check that TensorFlow Datasets has a set that `load` can read.

    Args:
        name: Its name.

    Raises:
        ImportError: If TensorFlow Datasets is not installed.
        ValueError: If there is no such set.
    """
    tfds = optional("tensorflow_datasets", "datasets", f"The data set {name!r}")
    _keys(tfds, _builder(tfds, name).info, name, None)


def prepared_folder(path: Path) -> Path | None:
    """Return the folder in which TensorFlow Datasets wrote a set, if any.

    Args:
        path: That folder, or one with a single version in it.
    """
    found = [*path.glob(_INFO), *path.glob(f"*/{_INFO}")]
    found += path.glob(f"*/*/{_INFO}")
    return found[0].parent if len(found) == 1 else None


def _builder(tfds: Any, name: str) -> Any:
    """Return the set's builder, which uses prepared files if there are any."""
    if Path(name, _INFO).is_file():
        return tfds.builder_from_directory(name)
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
                "source",
                "'digits', a set of TensorFlow Datasets, or the path of a "
                "folder, a .csv, .jsonl or .npz file",
                name,
                f"There is no such file or folder. "
                f"{nearest(name, ['digits', *names])}".rstrip(),
            )
        ) from error


def _keys(
    tfds: Any, info: Any, name: str, label: str | None
) -> tuple[str, str, str]:
    """Return the kind, and the names of the input and of the label."""
    features = dict(getattr(info.features, "items", dict)())
    kinds = {
        tfds.features.Image: "images",
        tfds.features.Audio: "audio",
        tfds.features.Text: "text",
    }
    supervised = info.supervised_keys
    if not (supervised and all(isinstance(k, str) for k in supervised[:2])):
        first = [k for k, v in features.items() if type(v) in kinds]
        supervised = (first[0] if len(first) == 1 else "image", "label")
    key, label = supervised[0], label or supervised[1]
    kind = kinds.get(type(features.get(key)))
    target = features.get(label)
    whole = (
        target is not None
        and getattr(target, "shape", None) == ()
        and np.issubdtype(target.np_dtype, np.integer)
    )
    if kind is None or not whole:
        shown = ", ".join(
            f"{key} ({type(value).__name__})" for key, value in features.items()
        )
        raise _unfit(name, f"the features {shown}")
    if kind == "images" and np.dtype(features[key].np_dtype) != np.uint8:
        raise _unfit(name, f"images of type {np.dtype(features[key].np_dtype)}")
    return kind, key, label


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


class _Seen(NamedTuple):
    """What one pass over a set showed.

    Attributes:
        names: Names of the classes, from the labels or a feature of names.
        lengths: Sizes of the inputs: `(examples, axes)`.
        item_bytes: Mean bytes of a text.
    """

    names: tuple[str, ...]
    lengths: np.ndarray
    item_bytes: int

    def typical(
        self, kind: str, shape: tuple[int | None, ...]
    ) -> tuple[int, ...]:
        """Return the longest of recordings, the median of images."""
        if kind == "text":
            return ()
        sizes = np.median(self.lengths, axis=0)
        if kind == "audio":
            sizes = self.lengths.max(axis=0)
        sizes = [*sizes.astype(int).tolist(), 1][: len(shape)]
        return tuple(
            size if have is None else have
            for have, size in zip(shape, sizes, strict=True)
        )


def _look(builder: Any, key: str, label: str, sizes: dict[str, int]) -> _Seen:
    """Read the set once for the names of its classes and its sizes."""
    named = (
        f"{label}_name" if f"{label}_name" in builder.info.features else label
    )
    names: dict[int, str] = {}
    lengths, total = [], 0
    for part in sizes:
        rows = _rows(builder, part, {key, label, named}).map(
            lambda row: (
                row[label],
                row[named],
                tf.shape(row[key]),
                tf.strings.length(row[key])
                if row[key].dtype == tf.string
                else 0,
            )
        )
        for numbers, words, shapes, bytes_ in rows.batch(
            512
        ).as_numpy_iterator():
            for number, word in zip(numbers, words, strict=True):
                text = word.decode() if isinstance(word, bytes) else str(word)
                names[int(number)] = text
            lengths.append(shapes)
            total += int(bytes_.sum())
    ordered = tuple(names.get(i, str(i)) for i in range(max(names) + 1))
    every = np.concatenate(lengths)
    return _Seen(ordered, every, total // len(every) + 1)


def _part(
    builder: Any, keys: tuple[str, str, str], part: str, count: int
) -> Part:
    kind, key, label = keys
    image = builder.info.features[key] if kind == "images" else None

    def pair(row: Any) -> tuple[Any, Any]:
        x = row[key]
        if image is not None:
            x = image.decode_example(x)
        if kind == "audio":
            # TensorFlow Datasets keeps the integers of the file.
            if x.dtype.is_integer:
                x = tf.cast(x, tf.float32) / 2.0**15
            x = x[:, None] if x.shape.rank == 1 else x
        return x, tf.cast(row[label], tf.int32)

    def read(rows: np.ndarray, seed: int | None) -> tf.data.Dataset:
        encoded = key if image is not None else None
        dataset = _rows(builder, part, {key, label}, encoded)
        # Images are decoded last, most of the time: only those that are kept.
        examples = chosen(dataset, rows, count).map(
            pair, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
        return shuffled(examples, len(rows), seed)

    return Part(count, read)


def _rows(
    builder: Any, part: str, keys: set[str], encoded: str | None = None
) -> tf.data.Dataset:
    """Return the examples of a part in a fixed order, with some features.

    The feature `encoded` stays as its file has it.
    """
    tfds = optional("tensorflow_datasets", "datasets", "This data set")
    features = builder.info.features
    return builder.as_dataset(
        split=part,
        shuffle_files=False,
        decoders=tfds.decode.PartialDecoding(
            {key: features[key] for key in keys},
            decoders={encoded: tfds.decode.SkipDecoding()} if encoded else None,
        ),
    )


def _unfit(name: str, received: str) -> ValueError:
    return ValueError(
        requirement(
            "load",
            "source",
            "a classification set: uint8 images, recordings or texts, and a "
            "class label each",
            name,
            f"That set has {received}.",
        )
    )


def _data_dir() -> str | None:
    return os.environ.get("TFDS_DATA_DIR") or None
