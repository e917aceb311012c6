"""The examples of a part, in memory or read anew in each pass."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_kd.core.checks import requirement
from keras_kd.data.fitting import Fit
from keras_kd.data.holding_out import Rows
from keras_kd.data.pipeline import pipeline
from keras_kd.data.sources.source import Part
from keras_kd.data.sources.source import Source

_SAMPLE_SEED = 0


class Held:
    """Examples in memory.

    Args:
        x: Inputs.
        y: Labels.
    """

    def __init__(self, x: Any, y: np.ndarray) -> None:
        self.count = len(y)
        self._pair = x, y

    def batches(
        self, batch_size: int, *, seed: int | None, drop_remainder: bool
    ) -> tf.data.Dataset:
        """Return batches, shuffled anew in each pass if a seed is given."""
        return pipeline(
            self._pair,
            batch_size=batch_size,
            seed=seed,
            drop_remainder=drop_remainder,
        )

    def sample(self, count: int) -> tuple[Any, np.ndarray]:
        """Return arrays of examples that were drawn at random."""
        rows = _drawn(self.count, count)
        return keras.tree.map_structure(lambda leaf: leaf[rows], self._pair)


class Streamed:
    """Examples that are read anew in each pass.

    Args:
        part: The part of the source.
        rows: The rows of it, ascending.
        function: Makes an input fit.
    """

    def __init__(
        self, part: Part, rows: np.ndarray, function: Callable[[Any], Any]
    ) -> None:
        self.count = len(rows)
        self._part = part
        self._rows = rows
        self._function = function

    def batches(
        self, batch_size: int, *, seed: int | None, drop_remainder: bool
    ) -> tf.data.Dataset:
        """Return batches, shuffled anew in each pass if a seed is given."""
        examples = _read(self._part, self._rows, self._function, seed)
        return (
            examples.apply(tf.data.experimental.assert_cardinality(self.count))
            .batch(batch_size, drop_remainder=drop_remainder)
            .prefetch(tf.data.AUTOTUNE)
        )

    def sample(self, count: int) -> tuple[Any, np.ndarray]:
        """Return arrays of examples that were drawn at random."""
        rows = self._rows[_drawn(self.count, count)]
        examples = _read(self._part, rows, self._function, None)
        return next(examples.batch(len(rows)).as_numpy_iterator())


Examples = Held | Streamed


def hold(
    source: Source, fit: Fit, rows: dict[str, Rows], limit: int
) -> tuple[dict[str, Examples], bool]:
    """Read the chosen examples into memory, if it holds them.

    Args:
        source: The source.
        fit: What makes its examples fit.
        rows: Part to the rows that were chosen for it.
        limit: Most bytes to hold.

    Returns:
        Part to examples, and whether they are streamed.

    Raises:
        OSError: If files are cut short.
        ValueError: If a part has no labels.
    """
    total = sum(len(chosen.rows) for chosen in rows.values())
    train = source.parts["train"]
    spec = _read(train, np.arange(1), fit.function, None).element_spec
    if total * _bytes(spec, source.item_bytes or 0) > limit:
        return {
            part: Streamed(
                source.parts[chosen.origin], chosen.rows, fit.function
            )
            for part, chosen in rows.items()
        }, True
    held: dict[str, Examples] = {}
    for origin, part in source.parts.items():
        kept = {
            name: chosen.rows
            for name, chosen in rows.items()
            if chosen.origin == origin
        }
        for name, (x, y) in _fill(part, kept, fit.function).items():
            if y.dtype == np.int32 and len(y) and y.min() < 0:
                raise ValueError(
                    requirement(
                        "load",
                        "source",
                        "data with a label for each example",
                        source.name,
                        f"It has a part {name!r} without labels.",
                    )
                )
            held[name] = Held(x, y)
    return {name: held[name] for name in rows}, False


def _read(
    part: Part,
    rows: np.ndarray,
    function: Callable[[Any], Any],
    seed: int | None,
) -> tf.data.Dataset:
    return part.read(rows, seed).map(
        lambda x, y: (function(x), y),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _bytes(spec: Any, of_a_text: int) -> int:
    return sum(
        of_a_text
        if leaf.dtype == tf.string
        else leaf.dtype.size * leaf.shape.num_elements()
        for leaf in keras.tree.flatten(spec)
    )


def _fill(
    part: Part,
    kept: dict[str, np.ndarray],
    function: Callable[[Any], Any],
) -> dict[str, Any]:
    """Copy the kept rows of a part into arrays, one batch at a time."""
    every = np.unique(np.concatenate(list(kept.values())))
    examples = _read(part, every, function, None)
    spec = examples.element_spec
    arrays = {name: _empty(spec, len(rows)) for name, rows in kept.items()}
    start = 0
    for batch in examples.batch(256).prefetch(2).as_numpy_iterator():
        numbers = every[start : start + len(batch[1])]
        start += len(batch[1])
        for name, rows in kept.items():
            first, last = np.searchsorted(rows, (numbers[0], numbers[-1] + 1))
            here = np.searchsorted(numbers, rows[first:last])
            for array, leaf in zip(
                keras.tree.flatten(arrays[name]),
                keras.tree.flatten(batch),
                strict=True,
            ):
                array[first:last] = leaf[here]
    # Truncated TFRecord files are read without an error.
    if start != len(every):
        raise OSError(
            f"The files hold {start} of {len(every)} examples. Remove the "
            "data set's folder and prepare it again."
        )
    return arrays


def _empty(spec: Any, count: int) -> Any:
    return keras.tree.map_structure(
        lambda leaf: np.empty((count, *leaf.shape), leaf.dtype.as_numpy_dtype),
        spec,
    )


def _drawn(have: int, want: int) -> np.ndarray:
    rng = np.random.default_rng(_SAMPLE_SEED)
    return np.sort(rng.permutation(have)[:want])
