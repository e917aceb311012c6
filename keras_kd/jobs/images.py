"""Gives a model the images it was trained on: its shape, classes and range.

Data sets have pixels from 0 to 1. A model from elsewhere may take 0 to 255 or
-1 to 1, and nothing in it says so; fed the wrong range it is right no more
often than chance. So the range is the one under which the model is right.
"""

import dataclasses
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import show

if TYPE_CHECKING:
    import keras

    from keras_kd.data import Splits

# Range of the pixels: factor and offset from pixels between 0 and 1.
RANGES = {"0..1": (1.0, 0.0), "0..255": (255.0, 0.0), "-1..1": (2.0, -1.0)}
_USUAL = "0..1"
_NUM_IMAGES = 256
# Accuracies that are closer than this are taken for equal, ...
_CLOSE = 0.05
# ... and one that is ahead by more than this decides.
_AHEAD = 0.2


def check_scale(command: str, scale: str | None) -> None:
    """Check `--scale`.

    Raises:
        ValueError: If it is no known range.
    """
    if scale is not None:
        check_choice(command, "scale", scale, RANGES)


def check_data(name: str) -> None:
    """Check that there is a data set of a name, before anything is read.

    Raises:
        ImportError: If TensorFlow Datasets is needed and not installed.
        ValueError: If there is none.
    """
    from keras_kd.data.sources.named import check_name

    if name != "digits":
        check_name(name)


def check_fits(
    command: str, argument: str, model: "keras.Model", splits: "Splits"
) -> None:
    """Check that a model takes a data set's images and knows its classes.

    Raises:
        ValueError: If its inputs or its number of outputs do not fit.
    """
    from keras_kd.core.taps import input_spec

    inputs = input_spec(model, subject=command, role=argument)
    wanted = splits.input_shape
    taken = tuple(getattr(inputs, "shape", (None, "several inputs")))[1:]
    fits = len(taken) == len(wanted) and all(
        size in (None, want) for size, want in zip(taken, wanted, strict=True)
    )
    received = f"Received: {argument}={show(model)}"
    if not fits:
        raise ValueError(
            f"`{command}` needs `{argument}` to take the images of "
            f"{splits.name!r}, of shape {wanted}. {received}, which takes "
            f"{taken}. Put a layer such as `keras.layers.Resizing` in front "
            "of it and save it again, or choose another data set."
        )
    classes = splits.num_classes
    units = getattr(model, "output_shape", (None,))[-1]
    # One unit tells two classes apart.
    if isinstance(units, int) and max(units, 2) != classes:
        raise ValueError(
            f"`{command}` needs `{argument}` to tell the {classes} classes of "
            f"{splits.name!r} apart. {received}, which has {units} outputs. "
            "Choose another model or data set."
        )


def find_scale(
    command: str,
    model: "keras.Model | str | os.PathLike[str]",
    splits: "Splits",
    scale: str | None,
) -> str:
    """Return the range of the pixels that a model takes.

    Args:
        command: Name of the command, for messages.
        model: A model, or the path of one.
        splits: The data set on which the model is tried.
        scale: The range, if the user gave it.

    Raises:
        ValueError: If two ranges are possible.
    """
    if scale is not None:
        return scale
    data = splits.test if splits.validation is None else splits.validation
    reached = accuracies(model, data)
    if not reached:  # the model tells more when it is used
        return _USUAL
    best = max(reached, key=lambda name: reached[name])
    ahead = reached[best] - reached.get(_USUAL, 0.0)
    shown = ", ".join(f"{share:.1%} as {n}" for n, share in reached.items())
    name = getattr(model, "name", model)
    if reached[best] < 1 / splits.num_classes + 2 * _CLOSE:
        sys.stderr.write(
            f"warning: `{name}` is hardly better than chance on the images of "
            f"{splits.name!r} (right on {shown}).\n"
        )
        return _USUAL
    if ahead < _CLOSE:
        return _USUAL
    if ahead < _AHEAD:
        raise ValueError(
            f"`{command}` cannot tell the range of the pixels that `{name}` "
            f"takes. It is right on {shown} of the images of "
            f"{splits.name!r}. Say it with `--scale {_USUAL}` or "
            f"`--scale {best}`."
        )
    sys.stderr.write(
        f"`{name}` takes pixels of {best} (right on {shown}); all models and "
        "files get these. Use --scale for another range.\n"
    )
    return best


def accuracies(model: Any, dataset: Any) -> dict[str, float]:
    """Return the accuracy of a model on the first images under each range.

    A range that the model refuses, such as fractions for a file that takes
    bytes, is left out.
    """
    from keras_kd.evaluation.runners import open_runner

    x, y = next(iter(dataset.unbatch().batch(_NUM_IMAGES).as_numpy_iterator()))
    runner = open_runner(model)
    found = {}
    try:
        for name in RANGES:
            try:
                logits = runner.logits(np.asarray(_scale(x, name)))
            except ValueError:
                continue
            found[name] = float(np.mean(logits.argmax(-1) == y))
    finally:
        runner.close()
    return found


def fitted(
    command: str,
    argument: str,
    model: "keras.Model",
    splits: "Splits",
    scale: str | None,
) -> tuple["Splits", str]:
    """Return a data set as a model takes it, and the range of its pixels.

    Args:
        command: Name of the command, for messages.
        argument: Name of the model's argument, for messages.
        model: The model.
        splits: The data set.
        scale: The range, if the user gave it.

    Raises:
        ValueError: If the model does not fit the data set, or two ranges are
            possible.
    """
    check_fits(command, argument, model, splits)
    found = find_scale(command, model, splits, scale)
    return scaled(splits, found), found


def scaled(splits: "Splits", scale: str) -> "Splits":
    """Return a data set with its pixels in another range."""
    if scale == _USUAL:
        return splits
    return _converted(splits, lambda x: _scale(x, scale))


def _converted(splits: "Splits", function: Callable[[Any], Any]) -> "Splits":
    """Return a data set whose images went through a function."""

    def convert(dataset: Any) -> Any:
        if dataset is None:
            return None
        return dataset.map(lambda x, y: (function(x), y))

    return dataclasses.replace(
        splits,
        train=convert(splits.train),
        validation=convert(splits.validation),
        test=convert(splits.test),
    )


def as_bytes(splits: "Splits") -> "Splits":
    """Return a data set of pixels from 0 to 1 with bytes instead."""
    import tensorflow as tf

    return _converted(splits, lambda x: tf.cast(_scale(x, "0..255"), tf.uint8))


def from_bytes(scale: str) -> "keras.Layer | None":
    """Return the layer that turns bytes into pixels of a range, if any."""
    import keras

    factor, offset = RANGES[scale]
    if scale == "0..255":
        return None
    return keras.layers.Rescaling(factor / 255, offset)


def _scale(x: Any, scale: str) -> Any:
    import keras

    factor, offset = RANGES[scale]
    values = x * factor + offset
    # Bytes divided by 255 and multiplied again are not always whole.
    return keras.ops.round(values) if scale == "0..255" else values
