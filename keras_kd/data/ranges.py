"""The range of the pixels that a model takes.

Nothing in a model without preprocessing says whether it was trained on pixels
from 0 to 1, from 0 to 255 or from -1 to 1; fed the wrong range it is right no
more often than chance. So the range is the one under which it is right.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_kd.data.sources.source import Range

# Factor and offset from pixels between 0 and 1.
RANGES: dict[str, Range] = {
    "0..1": (1.0, 0.0),
    "0..255": (255.0, 0.0),
    "-1..1": (2.0, -1.0),
}
USUAL = "0..1"
# Accuracies that are closer than this are taken for equal, ...
_CLOSE = 0.05
# ... and one that is ahead by more than this decides.
_AHEAD = 0.2


def convert(x: Any, source: Range, target: Range) -> Any:
    """Return values of one range in another, as float32.

    Args:
        x: Values; of any type.
        source: Their range, as factor and offset from 0 to 1.
        target: The range to have.
    """
    factor = np.float32(target[0] / source[0])
    offset = np.float32(target[1] - source[1] * target[0] / source[0])
    values = keras.ops.cast(x, "float32")
    if source == target:
        return values
    values = values * factor + offset
    # Bytes divided by 255 and multiplied again are not always whole.
    return keras.ops.round(values) if target == RANGES["0..255"] else values


def accuracies(
    logits: Callable[[Any], np.ndarray], x: Any, y: np.ndarray, source: Range
) -> dict[str, float]:
    """Return the accuracy of a model on images under each range.

    A range that the model refuses, such as fractions for a file that takes
    bytes, is left out.

    Args:
        logits: From a batch to class logits.
        x: Images.
        y: Their class numbers.
        source: Range of their values.
    """
    found = {}
    for name, target in RANGES.items():
        try:
            guessed = logits(np.asarray(convert(x, source, target)))
        except ValueError:
            continue
        found[name] = float(np.mean(guessed.argmax(-1) == y))
    return found


def settle_range(
    name: str, reached: dict[str, float], num_classes: int, data: str
) -> tuple[str, str]:
    """Return the range of the pixels that a model takes, and why.

    Args:
        name: Name of the model.
        reached: Its accuracy under each range.
        num_classes: Number of classes.
        data: Name of the data.

    Returns:
        The range, and a sentence if it is not the usual one.

    Raises:
        ValueError: If two ranges are possible.
    """
    best = max(reached, key=lambda range_: reached[range_])
    ahead = reached[best] - reached.get(USUAL, 0.0)
    chance = reached[best] < 1 / num_classes + 2 * _CLOSE
    if chance or ahead < _CLOSE:
        return USUAL, ""
    shown = shares(reached)
    if ahead < _AHEAD:
        raise ValueError(
            f"`load` cannot tell the range of the pixels that `{name}` "
            f"takes. It is right on {shown} of the images of {data!r}. Say "
            f"it: `scale={USUAL}` or `scale={best}`."
        )
    return best, (
        f"`{name}` takes pixels of {best} (right on {shown}); all models and "
        "files get these. Say `scale` for another range."
    )


def shares(reached: dict[str, float]) -> str:
    """Return accuracies as text."""
    return ", ".join(f"{share:.1%} as {n}" for n, share in reached.items())
