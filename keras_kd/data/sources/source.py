"""What every source tells about its data before anything is decoded."""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from typing import Any

import numpy as np
import tensorflow as tf

# Kind of data to what one of its examples is called.
KINDS = {
    "images": "image",
    "audio": "recording",
    "text": "text",
    "numbers": "row",
    "other": "example",
}
PARTS = ("train", "validation", "test")
# Factor and offset from values between 0 and 1.
Range = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """The examples of one part.

    Attributes:
        count: Their number.
        read: Takes row numbers in ascending order and a seed. Returns the
            unbatched examples `(x, y)` of these rows, in their order if the
            seed is `None`, else shuffled anew in each pass.
        labels: The labels, if they are known without reading the examples.
        names: Names of the examples, for messages.
        hashes: Hashes of their content; equal ones are duplicates.
    """

    count: int
    read: Callable[[np.ndarray, int | None], tf.data.Dataset]
    labels: np.ndarray | None = None
    names: Callable[[int], str] = "row {}".format
    hashes: np.ndarray | None = None


@dataclass(frozen=True)
class Source:
    """Data that was looked at and not decoded yet.

    Attributes:
        name: What the user called it.
        kind: One of `KINDS`.
        parts: The parts it has, `"train"` among them.
        class_names: Names of the classes in the order of the labels, empty if
            the labels are no classes.
        shape: Shape of an example; `None` where the examples differ.
        sizes: Sizes to use in place of a `None`, if no model gives one.
        range: Range of the values of images, if it is known.
        scale: Name of the range to give them, if nobody says.
        item_bytes: Bytes of an example whose shape does not tell.
        numbered: Whether the labels are the numbers of a model's outputs,
            of which some may be missing.
        notes: What the user should know of how it was read.
        problems: What makes it unusable.
    """

    name: str
    kind: str
    parts: dict[str, Part]
    class_names: tuple[str, ...]
    shape: tuple[int | None, ...]
    sizes: tuple[int, ...] = ()
    range: Range | None = None
    scale: str | None = None
    item_bytes: int | None = None
    numbered: bool = False
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def closed_shape(self) -> tuple[int, ...]:
        """Return the shape with the usual sizes where the examples differ."""
        sizes = self.sizes or (1,) * len(self.shape)
        return tuple(
            size if have is None else have
            for have, size in zip(self.shape, sizes, strict=True)
        )


def listed(items: Any, most: int = 10) -> str:
    """Return at most ten items and the number of the others."""
    items = list(items)
    more = len(items) - most
    shown = ", ".join(map(str, items[:most]))
    return f"{shown} and {more:,} more" if more > 0 else shown
