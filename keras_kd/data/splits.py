"""The parts of a data set."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from typing import Any

import tensorflow as tf

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import requirement
from keras_kd.data import ranges

_DATA = ("train", "validation", "test")


@dataclass(frozen=True)
class Splits:
    """The parts of a data set, with its shapes and classes.

    Args:
        name: The name it was loaded by.
        train: Shuffled batches of `(x, y)`, in a new order at each pass.
        validation: Batches in a fixed order; `None` if none was held out.
        test: Batches in a fixed order; `None` if `test_share` is 0.
        input_shape: Shape of one example, such as `(height, width,
            channels)`, `(samples, 1)`, `(columns,)`, or `()` for a text.
        num_classes: Number of classes; 0 if the labels are no classes.
        class_names: Their names, in the order of the labels.
        num_train: Examples in `train`.
        num_validation: Examples in `validation`.
        num_test: Examples in `test`.
        batch_size: Examples per batch.
        seed: Seed of the order of `train`, and of the choice of `max_train`.
        kind: `"images"`, `"audio"`, `"text"`, `"numbers"` or `"other"`.
        scale: Range of the pixels of images: `"0..1"`, `"0..255"` or
            `"-1..1"`; `None` if it is another, or for other data.
        split: How each part was made, as JSON values.
        streamed: Whether the data is read anew in each pass, because memory
            does not hold it.
        notes: Sentences on what was done to the data.

    Shapes:
        x: `(batch, *input_shape)`, float32, or strings.
        y: `(batch,)`, int32; the targets in float32 if they are no classes.

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
    kind: str = "images"
    scale: str | None = None
    split: dict[str, Any] = field(default_factory=dict)
    streamed: bool = False
    notes: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Return everything except the data, as JSON values."""
        return {
            item.name: list(value) if isinstance(value, tuple) else value
            for item in dataclasses.fields(self)
            if item.name not in _DATA
            for value in [getattr(self, item.name)]
        }

    def map(self, function: Callable[[Any], Any], **changed: Any) -> "Splits":
        """Return these splits with a function applied to every batch of x.

        Args:
            function: From a batch of inputs to another.
            **changed: Fields that change with it, such as `input_shape`.
        """

        def mapped(dataset: tf.data.Dataset | None) -> Any:
            if dataset is None:
                return None
            return dataset.map(lambda x, y: (function(x), y))

        data = {part: mapped(getattr(self, part)) for part in _DATA}
        return dataclasses.replace(self, **data, **changed)

    def rescaled(self, scale: str) -> "Splits":
        """Return these splits with pixels in another range.

        Args:
            scale: `"0..1"`, `"0..255"` or `"-1..1"`.

        Raises:
            ValueError: If the range of the pixels is not known.
        """
        check_choice("Splits.rescaled", "scale", scale, ranges.RANGES)
        if scale == self.scale:
            return self
        if self.scale is None:
            raise ValueError(
                requirement(
                    "Splits.rescaled",
                    "scale",
                    "None for data whose range is not known",
                    scale,
                )
            )
        own, target = ranges.RANGES[self.scale], ranges.RANGES[scale]
        return self.map(lambda x: ranges.convert(x, own, target), scale=scale)
