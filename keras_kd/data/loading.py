"""Loads data of any source, ready for training."""

import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_integer
from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement
from keras_kd.data import ranges
from keras_kd.data.examples import Examples
from keras_kd.data.examples import hold
from keras_kd.data.fitting import fit
from keras_kd.data.holding_out import hold_out
from keras_kd.data.looking import duplicates
from keras_kd.data.looking import order_of_classes
from keras_kd.data.looking import problems_of
from keras_kd.data.sources import find
from keras_kd.data.sources.source import KINDS
from keras_kd.data.sources.source import Source
from keras_kd.data.splits import Splits
from keras_kd.data.taker import Taker
from keras_kd.data.taker import taker_of

_SUBJECT = "load"
# Larger data is read from its files in every pass.
MEMORY_LIMIT_BYTES = 4 * 2**30


def load(  # noqa: PLR0913 (the public contract)
    source: Any,
    *,
    teacher: Any = None,
    scale: str | None = None,
    kind: str | None = None,
    label: str | None = None,
    batch_size: int = 64,
    seed: int = 0,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    max_train: int | None = None,
    drop_remainder: bool = False,
) -> Splits:
    """Load data of any source, made to fit a teacher.

    A source is one of these; its kind is found from what is there:

    - `"digits"`, which comes with the package, or the name of a
      classification set of TensorFlow Datasets: images, recordings or texts.
      It is read from the folder `TFDS_DATA_DIR` if that variable is set, and
      downloaded only if it is not there yet.
    - a folder with a folder a class, of images (.png, .jpg, .bmp, .gif,
      .webp), recordings (.wav, 16 bits) or texts (.txt). `train`,
      `validation` and `test` may lie above the classes. Or a folder that
      TensorFlow Datasets wrote.
    - a .csv file with a header or a .jsonl file: a column of labels, and one
      of texts or several of numbers.
    - an .npz file with `x` and `y`, and `x_test`, `y_test`, `x_val`, `y_val`
      if it has these parts.
    - arrays `(x, y)`, a `tf.data.Dataset` or a `PyDataset` of batches, or a
      dict of these by `"train"`, `"validation"` and `"test"`.

    Images get the size and the channels that the teacher takes, recordings
    its length; without a teacher, images get the median size of all and
    recordings the longest length. Pixels get the range that the teacher was
    trained on: that for which its own first layers preprocess, or the range
    under which it is right most often. What was done is in `notes`.

    Everything is looked at once, and all that is wrong is raised as one
    error. Data of more than 4 GiB is read anew in each pass.

    If a part is missing, a share of the training examples is held out, of
    each class alike where the labels are known beforehand. It is the same for
    every `seed`, and each time for the same files.

    Args:
        source: What to load.
        teacher: The model that is to take the data: a `keras.Model`, the path
            of one, a `Taker`, or a function from a batch to logits.
        scale: Range of the pixels: `"0..1"`, `"0..255"` or `"-1..1"`.
            Defaults to the teacher's; without a teacher to `"0..1"` for
            bytes, and pixels that are no bytes stay as they are.
        kind: `"images"`, `"audio"`, `"text"`, `"numbers"` or `"other"`.
            Defaults to what is found.
        label: Name of the column of the labels. Defaults to one called
            `label`, `class`, `target` or the like.
        batch_size: Examples per batch, at least 1. Defaults to 64.
        seed: Seed of the training order and of the examples that `max_train`
            keeps.
        validation_share: Share of the training examples to hold out if there
            is no validation part, at least 0 and below 1. Defaults to 0.1;
            0 gives `validation=None`.
        test_share: The same for the test part, taken first. Defaults to 0.1.
        max_train: Keep only this many training examples, for quick runs.
            Defaults to all.
        drop_remainder: Whether to drop a last training batch that is not
            full. Defaults to `False`.

    Returns:
        The `Splits`.

    Raises:
        FileNotFoundError: If there is nothing at a path.
        ImportError: If TensorFlow Datasets is needed and not installed.
        TypeError: If the source or the teacher is of another type.
        ValueError: If no source has that name (offers the nearest), the data
            is not fit for use (lists everything that is wrong), or the range
            of the pixels cannot be told.
        OSError: If a set cannot be downloaded.

    Example:
    >>> import keras_kd
    >>> splits = keras_kd.data.load("digits", max_train=100, batch_size=50)
    >>> splits.num_train, splits.num_validation, splits.num_test
    (100, 129, 500)
    >>> splits.kind, splits.scale
    ('images', '0..1')
    """
    _check(batch_size, seed, validation_share, test_share, max_train)
    if scale is not None:
        check_choice(_SUBJECT, "scale", scale, ranges.RANGES)
    taker = taker_of(teacher)
    found = find(source, kind, label, MEMORY_LIMIT_BYTES)
    fitted = fit(found, taker)
    problems = [*found.problems, *fitted.problems]
    problems += problems_of(found, taker, scale)
    if problems:
        raise _unfit(found.name, problems)
    rows, split = hold_out(
        found.parts,
        test_share=test_share,
        validation_share=validation_share,
        max_train=max_train,
        seed=seed,
    )
    num_train = len(rows["train"].rows)
    if drop_remainder and num_train < batch_size:
        raise ValueError(
            requirement(
                _SUBJECT,
                "batch_size",
                f"at most the {num_train} training {KINDS[found.kind]}s when "
                "`drop_remainder` is set",
                batch_size,
            )
        )
    for warning in duplicates(found.parts, rows):
        warnings.warn(warning, stacklevel=2)
    parts, streamed = hold(found, fitted, rows, MEMORY_LIMIT_BYTES)
    range_, notes = _range(found, taker, parts, scale)

    def batched(part: str) -> tf.data.Dataset | None:
        if part not in parts or not parts[part].count:
            return None
        training = part == "train"
        dataset = parts[part].batches(
            batch_size,
            seed=seed if training else None,
            drop_remainder=drop_remainder and training,
        )
        if found.range is None or range_ is None:
            return dataset
        own, target = found.range, ranges.RANGES[range_]
        return dataset.map(lambda x, y: (ranges.convert(x, own, target), y))

    counts = {part: kept.count for part, kept in parts.items()}
    return Splits(
        name=found.name,
        train=batched("train"),
        validation=batched("validation"),
        test=batched("test"),
        input_shape=fitted.shape,
        num_classes=len(found.class_names),
        class_names=found.class_names,
        num_train=counts["train"],
        num_validation=counts.get("validation", 0),
        num_test=counts.get("test", 0),
        batch_size=batch_size,
        seed=seed,
        kind=found.kind,
        scale=range_,
        split=split,
        streamed=streamed,
        notes=(*found.notes, *fitted.notes, *notes),
    )


def _range(
    source: Source,
    taker: Taker | None,
    parts: dict[str, Examples],
    scale: str | None,
) -> tuple[str | None, list[str]]:
    """Return the range of the pixels, and what to note about it.

    Warns of a teacher that is right no more often than by chance.
    """
    notes: list[str] = []
    found = scale or source.scale
    if taker is not None and taker.range and scale is None and found:
        found = taker.range
        notes.append(
            f"`{taker.name}` takes pixels of {found}, which its first layers "
            "prepare; all models and files get these."
        )
    if taker is None or taker.logits is None or not source.class_names:
        return found, notes
    part = next(p for p in ("validation", "test", "train") if p in parts)
    count = max(256, min(8 * len(source.class_names), 2048))
    x, y = parts[part].sample(count)
    if source.range is not None and found is not None:
        if scale is None and not taker.range:
            reached = ranges.accuracies(taker.logits, x, y, source.range)
            if not reached:  # the model tells more when it is used
                return found, notes
            found, note = ranges.settle_range(
                taker.name, reached, len(source.class_names), source.name
            )
            notes += [note] if note else []
        x = np.asarray(ranges.convert(x, source.range, ranges.RANGES[found]))
    try:
        guesses = taker.logits(x).argmax(-1)
    except ValueError:  # the model tells more when it is used
        return found, notes
    for warning in order_of_classes(taker, guesses, y, source):
        warnings.warn(warning, stacklevel=3)
    return found, notes


def _check(
    batch_size: int,
    seed: int,
    validation_share: float,
    test_share: float,
    max_train: int | None,
) -> None:
    check_integer(_SUBJECT, "batch_size", batch_size, low=1)
    check_integer(_SUBJECT, "seed", seed, low=0)
    shares = {"validation_share": validation_share, "test_share": test_share}
    for name, share in shares.items():
        check_number(_SUBJECT, name, share, low=0)
        if share >= 1:
            raise ValueError(requirement(_SUBJECT, name, "below 1", share))
    if validation_share + test_share >= 1:
        raise ValueError(
            requirement(
                _SUBJECT,
                "validation_share",
                "below 1 with `test_share`",
                validation_share,
            )
        )
    if max_train is not None:
        check_integer(_SUBJECT, "max_train", max_train, low=1)


def _unfit(name: str, problems: list[str]) -> ValueError:
    found = "".join(f"\n- {problem}." for problem in problems)
    return ValueError(
        f"`{_SUBJECT}` cannot use the data `source={name!r}`. It has:{found}"
    )
