"""Checks a user's arrays and batches them."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement
from keras_kd.data.pipeline import pipeline

_SUBJECT = "from_arrays"


def from_arrays(  # noqa: PLR0913 (x, y, sample_weight, as `fit` has them)
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int = 64,
    shuffle: bool = False,
    seed: int = 0,
    scale: float | None = None,
    num_classes: int | None = None,
) -> tf.data.Dataset:
    """Batch arrays after checking them for errors that would break training.

    Keeps one copy of the arrays in memory and scales one batch at a time.

    Args:
        x: An array, or a list or dict of arrays for several inputs.
        y: Labels: class numbers or one-hot rows. `None` if there are none.
        sample_weight: One weight per example, at least 0.
        batch_size: Examples per batch, at least 1. Defaults to 64.
        shuffle: Whether to shuffle; each pass has a new order. Defaults to
            `False`.
        seed: Seed of the order.
        scale: Factor for `x`, such as `1 / 255` for images of bytes.
            Defaults to `None`, which leaves `x` unchanged.
        num_classes: If given, labels are checked against it.

    Shapes:
        x: `(examples, ...)`; float64 becomes float32, text stays text.
        y: `(examples, ...)`; whole numbers become int32, others float32.
        sample_weight: `(examples,)`, float32.

    Returns:
        A `tf.data.Dataset` of `x`, `(x, y)` or `(x, y, sample_weight)`.

    Raises:
        TypeError: If an array holds objects or complex numbers.
        ValueError: If lengths differ or are 0, a value is NaN or infinite, a
            label is out of range or a weight is negative.

    Example:
    >>> import keras_kd
    >>> import numpy as np
    >>> images = np.full((5, 4, 4, 1), 255, "uint8")
    >>> dataset = keras_kd.data.from_arrays(
    ...     images, [0, 1, 2, 1, 0], batch_size=5, scale=1 / 255)
    >>> float(next(iter(dataset))[0].numpy().max())
    1.0
    """
    check_integer(_SUBJECT, "batch_size", batch_size, low=1)
    check_integer(_SUBJECT, "seed", seed, low=0)
    if scale is not None:
        check_number(_SUBJECT, "scale", scale, above=0)
    if sample_weight is not None and y is None:
        raise ValueError(
            requirement(_SUBJECT, "y", "given where `sample_weight` is", None)
        )
    several = isinstance(x, (dict, list, tuple)) and any(
        np.ndim(leaf) for leaf in keras.tree.flatten(x)
    )
    inputs = x if several else np.asarray(x)
    arrays = {"x": keras.tree.map_structure(_input, inputs)}
    if y is not None:
        arrays["y"] = _labels(np.asarray(y), num_classes)
    if sample_weight is not None:
        arrays["sample_weight"] = _weights(np.asarray(sample_weight))
    _check_lengths(arrays)
    return pipeline(
        tuple(arrays.values()),
        batch_size=batch_size,
        seed=seed if shuffle else None,
        scale=scale,
    )


def _input(values: Any) -> np.ndarray:
    values = _numbers("x", np.asarray(values), text=True)
    return values.astype("float32") if values.dtype == "float64" else values


def _labels(labels: np.ndarray, num_classes: int | None) -> np.ndarray:
    labels = _numbers("y", labels)
    whole = labels.dtype.kind in "biu"
    if num_classes is not None:
        check_integer(_SUBJECT, "num_classes", num_classes, low=2)
        if not whole and labels.shape[-1:] != (num_classes,):
            raise ValueError(
                requirement(
                    _SUBJECT,
                    "y",
                    f"class numbers or rows of {num_classes}",
                    f"{labels.dtype} of shape {labels.shape}",
                )
            )
        if whole and labels.size:
            low, high = int(labels.min()), int(labels.max())
            if low < 0 or high >= num_classes:
                raise ValueError(
                    requirement(
                        _SUBJECT,
                        "y",
                        f"class numbers from 0 to {num_classes - 1}",
                        f"{low} to {high}",
                    )
                )
    return labels.astype("int32" if whole else "float32")


def _weights(weights: np.ndarray) -> np.ndarray:
    weights = _numbers("sample_weight", weights).astype("float32")
    if weights.size and weights.min() < 0:
        raise ValueError(
            requirement(
                _SUBJECT, "sample_weight", "at least 0", float(weights.min())
            )
        )
    return weights


def _numbers(
    name: str, values: np.ndarray, *, text: bool = False
) -> np.ndarray:
    """Return `values` if they are finite numbers (or text)."""
    if values.dtype.kind not in ("biufSU" if text else "biuf"):
        raise TypeError(
            requirement(
                _SUBJECT, name, "an array of numbers", f"dtype {values.dtype}"
            )
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise ValueError(
            requirement(
                _SUBJECT,
                name,
                "finite",
                f"{count} of {values.size} values NaN or infinite",
            )
        )
    return values


def _check_lengths(arrays: dict[str, Any]) -> None:
    lengths = {
        name: [leaf.shape[0] if leaf.ndim else 0 for leaf in leaves]
        for name, part in arrays.items()
        if (leaves := keras.tree.flatten(part))
    }
    every = {length for some in lengths.values() for length in some}
    if len(every) != 1 or every == {0}:
        shown = ", ".join(f"{name} {some}" for name, some in lengths.items())
        raise ValueError(
            requirement(
                _SUBJECT,
                "x",
                "of the same length as the rest, and not empty",
                f"lengths {shown}",
            )
        )
