"""The data of a job, made to fit its teacher, its student or a file."""

import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

from keras_kd.core.checks import check_choice
from keras_kd.jobs.outputs import TEXTS

if TYPE_CHECKING:
    import keras

    from keras_kd.data import Splits
    from keras_kd.data import Taker


_, LOOK_UP, _ = TEXTS


def check_scale(command: str, scale: str | None) -> None:
    """Check `--scale`.

    Raises:
        ValueError: If it is no known range.
    """
    from keras_kd.data.ranges import RANGES

    if scale is not None:
        check_choice(command, "scale", scale, RANGES)


def check_kind(command: str, kind: str | None) -> None:
    """Check `--kind`.

    Raises:
        ValueError: If it is no kind of data.
    """
    from keras_kd.data.sources.source import KINDS

    if kind is not None:
        check_choice(command, "kind", kind, KINDS)


def check_data(source: str) -> None:
    """Check that there is data of a name or at a path, before it is read.

    Raises:
        FileNotFoundError: If there is nothing at a path.
        ImportError: If TensorFlow Datasets is needed and not installed.
        ValueError: If there is none.
    """
    from keras_kd.data.sources import check_source

    check_source(source)


def load_data(
    source: str,
    taker: Any = None,
    *,
    file: Path | None = None,
    quiet: bool = False,
    **arguments: Any,
) -> "Splits":
    """Load data, and say on standard error what was done to it.

    Args:
        source: A name or path.
        taker: The model that is to take the data, as `load` takes a teacher.
        file: Its file. If it takes the numbers of words, `words.keras`
            beside it makes these of texts.
        quiet: Whether to say nothing, for data that was loaded before.
        **arguments: Of `keras_kd.data.load`.
    """
    import keras

    import keras_kd
    from keras_kd.data.taker import taker_of

    words = file and file.with_name(LOOK_UP)
    taker = taker_of(taker)
    if words and words.exists() and taker and taker.dtype != "string":
        splits = load_data(source, quiet=quiet, **arguments)
        if splits.kind == "text" and not splits.input_shape:
            look_up = keras.models.load_model(words)
            shape = tuple(look_up.output_shape[1:])
            return splits.map(look_up, input_shape=shape)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        splits = keras_kd.data.load(source, teacher=taker, **arguments)
    if quiet:
        return splits
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            sys.stderr.write(f"warning: {warning.message}\n")
    for note in splits.notes:
        sys.stderr.write(f"{note}\n")
    return splits


def load_for(
    setting: Any, source: Any, teacher: "keras.Model", *, quiet: bool = False
) -> "Splits":
    """Load the data of a job as its settings say.

    Args:
        setting: The settings of a job.
        source: What `keras_kd.data.load` takes.
        teacher: The teacher, which the data is made to fit.
        quiet: Whether to say nothing, for data that was loaded before.
    """
    return load_data(
        source,
        teacher,
        quiet=quiet,
        scale=setting.scale,
        kind=setting.kind,
        label=setting.label,
        batch_size=setting.batch_size,
        seed=setting.seed,
        max_train=setting.max_train,
    )


def taker_of_file(
    path: str | os.PathLike[str], output: str | None = None
) -> "Taker | keras.Model":
    """Return what data has to be like for a file.

    Args:
        path: A `.keras` or `.tflite` file, or a SavedModel.
        output: What the file returns, if it does not tell.
    """
    from keras_kd.core.output_kinds import is_classes
    from keras_kd.data import Taker
    from keras_kd.evaluation.litert import LiteRTModel
    from keras_kd.evaluation.runners import open_runner
    from keras_kd.jobs.models import load_teacher

    path = Path(path)
    if path.suffix in (".keras", ".h5"):
        return load_teacher(path, output)
    runner = open_runner(path, output=output)
    # A file that tells nothing of its outputs is taken for a classifier.
    known = runner.kind is None or is_classes(runner.kind)
    taker = Taker(path.name, runner.logits if known else None)
    if path.suffix != ".tflite":
        return taker
    details = LiteRTModel(path).input_details
    if len(details) != 1:
        return taker
    detail = details[0]
    return Taker(
        path.name,
        taker.logits,
        shape=detail.shape[1:],
        dtype=detail.dtype,
        range="0..255" if detail.dtype == "uint8" else None,
    )


def as_bytes(splits: "Splits") -> "Splits":
    """Return images as bytes."""
    import tensorflow as tf

    return splits.rescaled("0..255").map(lambda x: tf.cast(x, tf.uint8))


def from_bytes(scale: str | None) -> "keras.Layer | None":
    """Return the layer that turns bytes into pixels of a range, if any."""
    import keras

    from keras_kd.data.ranges import RANGES

    if scale in (None, "0..255"):
        return None
    factor, offset = RANGES[str(scale)]
    return keras.layers.Rescaling(factor / 255, offset)
