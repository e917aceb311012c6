"""The data sets of `defaults.py`, as arrays that TensorFlow Datasets gives."""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import keras
import numpy as np

import keras_kd

TOKENS, TEXT_LENGTH = 4000, 16
SAMPLES = 4096  # half a second of speech
NUM_TEST = 2000


class Data(NamedTuple):
    """What the teacher and the students see.

    Attributes:
        known: All training examples, for the teacher.
        taught: The examples that the students see.
        test: At most `NUM_TEST` test examples.
    """

    known: tuple[np.ndarray, np.ndarray]
    taught: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


def load(name: str, taught: int) -> Data:
    """Return a data set, of which the students see some examples.

    Args:
        name: One of `READERS`.
        taught: Number of examples that the students see.
    """
    known, test = READERS[name](name)
    order = np.random.default_rng(0).permutation(len(known[1]))[:taught]
    shown = np.random.default_rng(0).permutation(len(test[1]))[:NUM_TEST]
    return Data(
        known,
        (known[0][order], known[1][order]),
        (test[0][shown], test[1][shown]),
    )


def _digits(name: str) -> Any:
    return keras_kd.data.digits()


def _examples(name: str, split: str) -> Any:
    import tensorflow_datasets

    return tensorflow_datasets.as_numpy(
        tensorflow_datasets.load(name, split=split)
    )


def _images(name: str) -> Any:
    """Return images as bytes, which models divide by 255."""
    parts = []
    for split in ("train", "test"):
        pairs = [(e["image"], e["label"]) for e in _examples(name, split)]
        x, y = zip(*pairs, strict=True)
        parts.append((np.stack(x), np.array(y, "int32")))
    return parts


def _texts(name: str) -> Any:
    """Return token ids; a model's classes are the intents."""
    parts = []
    for split in ("train", "test"):
        pairs = [(e["text"], e["intent"]) for e in _examples(name, split)]
        x, y = zip(*pairs, strict=True)
        parts.append(([text.decode() for text in x], np.array(y, "int32")))
    known = np.unique(parts[0][1])
    vectorize = keras.layers.TextVectorization(
        TOKENS, output_sequence_length=TEXT_LENGTH
    )
    vectorize.adapt(parts[0][0])
    return [
        (
            np.asarray(vectorize(texts), "int32"),
            np.searchsorted(known, intents).astype("int32"),
        )
        for texts, intents in parts
    ]


def _speech(name: str) -> Any:
    """Return log-mel spectrograms, about 0 to 1."""
    log_mel = keras.layers.MelSpectrogram(
        fft_length=256,
        sequence_stride=64,
        num_mel_bins=32,
        sampling_rate=8000,
        min_freq=50,
        max_freq=4000,
    )
    parts = []
    for split in ("train", "test"):
        x, y = [], []
        for example in _examples(name, split):
            audio = example["audio"][:SAMPLES].astype("float32")
            audio = np.pad(audio, (0, SAMPLES - len(audio)))
            x.append(audio / np.abs(audio).max())
            y.append(example["label"])
        few = np.array_split(np.stack(x), 10)
        pictures = np.concatenate([np.asarray(log_mel(part)) for part in few])
        pictures = pictures[..., None] / 20 + 1
        parts.append((pictures.astype("float32"), np.array(y, "int32")))
    return parts


READERS: dict[str, Callable[[str], Any]] = {
    "digits": _digits,
    "mnist": _images,
    "cifar10_jpeg": _images,
    "clinc_oos": _texts,
    "spoken_digit_compact": _speech,
}
