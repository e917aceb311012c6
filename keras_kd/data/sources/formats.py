"""Files of one example each: how to look at one and how to decode it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_kd.core.words import counted


class Summary(NamedTuple):
    """What the files of a folder have in common.

    Attributes:
        decode: From the content of a file to an example, in a graph.
        shape: Shape of an example, `None` where the files differ.
        sizes: Sizes to use if no model gives one.
        notes: What the user should know.
        item_bytes: Bytes of an example whose shape does not tell.
    """

    decode: Callable[[Any], Any]
    shape: tuple[int | None, ...] = ()
    sizes: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    item_bytes: int | None = None


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        plural: What such files are called.
        suffixes: Their suffixes.
        look: From the content of a file to facts; raises if it is damaged.
        summarize: From the facts of all files to what is made of them.
    """

    plural: str
    suffixes: tuple[str, ...]
    look: Callable[[bytes], Any]
    summarize: Callable[[list[Any]], Summary]


def _look_at_image(content: bytes) -> tuple[int, ...]:
    return tuple(_image(content).shape)


def _image(content: Any) -> Any:
    return tf.io.decode_image(content, expand_animations=False)


def _images(shapes: list[tuple[int, ...]]) -> Summary:
    def decode(content: Any) -> Any:
        return tf.ensure_shape(_image(content), (None, None, None))

    if not shapes:
        return Summary(decode, (None, None, None), (1, 1, 3))
    heights, widths, channels = zip(*shapes, strict=True)
    color = 3 if max(channels) >= 3 else 1
    sides = tuple(int(np.median(side)) for side in (heights, widths))
    shape = tuple(
        size if len(set(have)) == 1 else None
        for have, size in zip((heights, widths), sides, strict=True)
    )
    return Summary(decode, (*shape, _one(channels)), (*sides, color))


def _look_at_sound(content: bytes) -> tuple[int, int, int]:
    sound, rate = tf.audio.decode_wav(content)
    if not sound.shape[0]:
        raise ValueError("no sound in it")
    return sound.shape[0], sound.shape[1], int(rate)


def _sounds(facts: list[tuple[int, int, int]]) -> Summary:
    if not facts:
        return Summary(lambda content: content, (None, 1), (1, 1))
    rates = Counter(rate for _, _, rate in facts)
    rate = max(rates, key=lambda r: (rates[r], -r))
    lengths = [-(-length * rate // own) for length, _, own in facts]
    longest = max(lengths)
    notes = []
    if len(rates) > 1:
        changed = len(facts) - rates[rate]
        notes.append(
            f"{counted(changed, 'recording')} resampled to {rate:,} Hz, the "
            "rate of the others."
        )

    def decode(content: Any) -> Any:
        sound, own = tf.audio.decode_wav(content)
        return sound if len(rates) == 1 else resampled(sound, own, rate)

    channels = _one([channels for _, channels, _ in facts])
    length = longest if len(set(lengths)) == 1 else None
    return Summary(decode, (length, channels), (longest, 1), tuple(notes))


def resampled(sound: Any, rate: Any, target: int) -> Any:
    """Return a recording at another rate, by its Fourier transform.

    Args:
        sound: `(samples, channels)`.
        rate: Its rate in hertz.
        target: The rate to have.
    """
    length = tf.shape(sound, tf.int64)[0]
    rate = tf.cast(rate, tf.int64)
    wanted = tf.cast(-(-length * target // rate), tf.int32)
    spectrum = tf.signal.rfft(tf.transpose(sound))
    # Frequencies that the target rate cannot hold would sound as others.
    kept = spectrum[:, : wanted // 2 + 1]
    waves = tf.signal.irfft(kept, [wanted])
    scale = tf.cast(wanted, tf.float32) / tf.cast(length, tf.float32)
    return tf.transpose(waves) * scale


def _look_at_text(content: bytes) -> int:
    content.decode("utf-8")
    return len(content)


def _texts(lengths: list[int]) -> Summary:
    mean = sum(lengths) // max(len(lengths), 1) + 1
    return Summary(lambda content: content, item_bytes=mean)


def _one(values: Any) -> int | None:
    return values[0] if len(set(values)) == 1 else None


FORMATS = {
    "images": Format(
        "images",
        (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"),
        _look_at_image,
        _images,
    ),
    "audio": Format("recordings", (".wav",), _look_at_sound, _sounds),
    "text": Format("texts", (".txt",), _look_at_text, _texts),
}
