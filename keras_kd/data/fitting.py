"""Makes examples equal in shape, and of the shape that a model takes."""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import tensorflow as tf

from keras_kd.data.sources.source import KINDS
from keras_kd.data.sources.source import Source
from keras_kd.data.taker import Taker

Shape = tuple[int | None, ...]


class Fit(NamedTuple):
    """How examples are made to fit.

    Attributes:
        shape: Shape of an example afterwards.
        function: From an example to one of this shape.
        notes: What the user should know.
        problems: Why it cannot be done.
    """

    shape: tuple[int, ...]
    function: Callable[[Any], Any] = lambda x: x
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def fit(source: Source, taker: Taker | None) -> Fit:
    """Return how the examples of a source are made to fit a model."""
    wanted = None if taker is None else taker.shape
    name = "" if taker is None else taker.name
    if source.kind == "text" and not source.shape:
        return _texts(wanted, taker)
    rank = {"images": 3, "audio": 2}.get(source.kind)
    if rank is not None and rank == len(source.shape):
        # A model may leave out an axis of one channel.
        if wanted is not None and len(wanted) not in (rank, rank - 1):
            return _other_shape(source, source.closed_shape(), wanted, name)
        make = _images if source.kind == "images" else _sounds
        return make(source, wanted, name)
    shape = source.closed_shape()
    if None in source.shape:
        return Fit((), problems=("examples of several shapes",))
    if wanted is not None and not _takes(wanted, shape):
        return _other_shape(source, shape, wanted, name)
    return Fit(shape)


def _images(source: Source, wanted: Shape | None, name: str) -> Fit:
    """Resize images, and give them the channels of the model."""
    height, width, channels = source.closed_shape()
    target = (*(wanted or ()), None, None, None)[:3]
    height, width, channels = (
        have if want is None else want
        for have, want in zip((height, width, channels), target, strict=True)
    )
    flat = wanted is not None and len(wanted) == 2
    if flat:
        channels = 1
    if channels not in (1, 3) and channels != source.shape[2]:
        return _other_shape(source, source.closed_shape(), wanted or (), name)
    notes = []
    why = (
        f"the size that `{name}` takes" if wanted else "the usual size of these"
    )
    resize = source.shape[:2] != (height, width)
    if resize:
        what = _shown(source.shape[:2])
        notes.append(f"Images {what} are resized to {height} x {width}, {why}.")
    have = source.shape[2]
    if have != channels:
        names = {1: "gray", 3: "colour", None: "any number of channels"}
        text = names.get(have, f"{have} channels")
        to = names.get(channels, f"{channels} channels")
        notes.append(f"Images of {text} are converted to {to}.")

    def function(x: Any) -> Any:
        dtype = x.dtype
        if have != channels:
            x = _with_channels(x, channels)
        if resize:
            x = tf.image.resize(x, (height, width))
            if dtype.is_integer:
                x = tf.cast(tf.round(x), dtype)
        x = tf.ensure_shape(x, (height, width, channels))
        return x[..., 0] if flat else x

    shape = (height, width) if flat else (height, width, channels)
    return Fit(shape, function, tuple(notes))


def _with_channels(x: Any, channels: int) -> Any:
    have = tf.shape(x)[-1]
    if channels == 3:
        return tf.cond(
            have < 3,
            lambda: tf.repeat(x[..., :1], 3, axis=-1),
            lambda: x[..., :3],
        )
    return tf.cond(
        have < 3,
        lambda: x[..., :1],
        lambda: tf.image.rgb_to_grayscale(
            tf.ensure_shape(x[..., :3], (None, None, 3))
        ),
    )


def _sounds(source: Source, wanted: Shape | None, name: str) -> Fit:
    """Pad or cut recordings, and mix their channels."""
    length, channels = source.closed_shape()
    flat = wanted is not None and len(wanted) == 1
    want_length, want_channels = (*(wanted or ()), None, None)[:2]
    length = want_length or length
    channels = 1 if flat else want_channels or channels
    have_length, have = source.shape
    if channels not in (1, have):
        return _other_shape(source, source.closed_shape(), wanted or (), name)
    notes = []
    if have_length != length:
        why = (
            f"the length that `{name}` takes" if want_length else "the longest"
        )
        longest = source.closed_shape()[0]
        cut = f"; the longest has {longest:,}" if longest > length else ""
        notes.append(
            f"Recordings are padded with silence or cut to {length:,} "
            f"samples, {why}{cut}."
        )
    if have != channels:
        notes.append("Recordings of several channels are mixed to one.")

    def function(x: Any) -> Any:
        if have != channels:
            x = tf.reduce_mean(x, axis=-1, keepdims=True)
        x = x[:length]
        x = tf.pad(x, [[0, length - tf.shape(x)[0]], [0, 0]])
        x = tf.ensure_shape(x, (length, channels))
        return x[:, 0] if flat else x

    shape = (length,) if flat else (length, channels)
    return Fit(shape, function, tuple(notes))


def _texts(wanted: Shape | None, taker: Taker | None) -> Fit:
    if taker is None or wanted is None or taker.dtype == "string":
        if wanted == (1,):
            return Fit((1,), lambda text: text[None])
        return Fit(())
    problem = (
        f"texts, and `{taker.name}` takes {taker.dtype} values of shape "
        f"{wanted}: nothing tells its vocabulary. Put its "
        "`keras.layers.TextVectorization` in front of it, or give the "
        "numbers of the words as arrays"
    )
    return Fit((), problems=(problem,))


def _takes(wanted: Shape, shape: Shape) -> bool:
    return len(wanted) == len(shape) and all(
        want in (None, have) for want, have in zip(wanted, shape, strict=True)
    )


def _other_shape(source: Source, shape: Shape, wanted: Shape, name: str) -> Fit:
    advice = {
        "audio": "Put the layer that makes its spectrograms in front of it, "
        "such as `keras.layers.MelSpectrogram`, and save it again",
        "numbers": "Give the columns that it was trained on",
    }.get(
        source.kind, "Put a layer such as `keras.layers.Reshape` in front of it"
    )
    return Fit(
        tuple(side or 0 for side in shape),
        problems=(
            f"{KINDS[source.kind]}s of shape {shape}, and `{name}` takes "
            f"{wanted}. {advice}",
        ),
    )


def _shown(sides: Shape) -> str:
    if None in sides:
        return "of several sizes"
    return "of " + " x ".join(map(str, sides))
