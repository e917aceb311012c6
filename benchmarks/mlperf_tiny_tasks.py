"""Data, teachers and students of `mlperf_tiny.py`."""

import os
from collections.abc import Callable
from collections.abc import Iterable
from functools import cache
from functools import partial
from pathlib import Path
from typing import Any
from typing import NamedTuple

import defaults_data
import keras
import keras_tuner
import numpy as np
import tensorflow as tf

import keras_kd
from keras_kd.evaluation.litert import LiteRTModel

BATCH, VIEWS, TRIALS = 128, 8, 12
FOLDER = Path(os.environ.get("KERAS_KD_MLPERF_TINY", "mlperf_tiny"))
Data = tuple[np.ndarray, np.ndarray]
Function = Callable[[Any], np.ndarray]


class Task(NamedTuple):
    """A task of the benchmark.

    Attributes:
        data: Returns training and test examples.
        student: Builds the reference student.
        searched: Builds the student of a search's `hp`.
        teachers: Functions that return the probabilities of a batch, by
            name; takes the students that were trained on labels alone.
        best_teacher: The teacher of the search.
        temperature: Of the reference student.
        epochs: Of every training, but for the search's.
        rate: Highest learning rate.
        augment: Whether images are flipped and shifted.
        size_bytes: Most bytes of a student's file; 0 for the reference's.
        search_examples: Training examples of the search.
        search_epochs: Epochs of its trials.
        validation: Training examples that choose among them.
        trials: Their number.
    """

    data: Callable[[], tuple[Data, Data]]
    student: Callable[[], keras.Model]
    searched: Callable[[Any], keras.Model]
    teachers: Callable[[Any], dict[str, Callable[[], Function]]]
    best_teacher: str
    temperature: float
    epochs: int
    rate: float
    augment: bool
    size_bytes: int
    search_examples: int
    search_epochs: int
    validation: int
    trials: int = TRIALS


def published_teacher() -> Function:
    """Return MLPerf's float ResNet of 1.9 MB: bytes to probabilities."""
    model = LiteRTModel(FOLDER / "resnet_ic02_float32.tflite")
    return lambda x: model.predict(np.asarray(x, "float32"))


def committee(members: Iterable[keras.Model]) -> Function:
    """Return the mean of the published teacher and of Keras models."""
    teachers = [published_teacher(), *map(probabilities, members)]
    return lambda x: np.mean([each(x) for each in teachers], axis=0)


def probabilities(model: keras.Model) -> Function:
    """Return a function from a batch to a model's probabilities."""
    run = tf.function(
        lambda x: tf.nn.softmax(model(x, training=False)), reduce_retracing=True
    )
    return lambda x: np.asarray(run(np.asarray(x, "float32")))


def resnet8() -> keras.Model:
    """Return MLPerf's network; like MLPerf's, it takes 0 to 255 as it is."""
    return keras_kd.students.resnet((32, 32, 3), 10, depth=8)


def early_resnet(
    hp: Any,
    shape: tuple[int, int, int] = (32, 32, 3),
    stem_strides: int = 1,
    most: tuple[int, int] = (32, 64),
) -> keras.Model:
    """Return a ResNet that has few channels until it has halved the image.

    The arena is the first stage's: three maps of 32 x 32 pixels in ResNet-8.
    """
    inputs = keras.Input(shape)
    x = conv(inputs, hp.Int("stem", 4, 12, step=4), "stem", stem_strides)
    x = keras.layers.ReLU()(x)
    for stage, widest in zip(("first", "second"), most, strict=True):
        channels = hp.Int(stage, widest // 2, widest, step=8)
        for block in range(hp.Int(f"{stage}_blocks", 1, 2)):
            name = f"{stage}_{block}"
            x = residual(x, channels, name, strides=1 if block else 2)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10)(x))


def residual(x: Any, channels: int, name: str, strides: int) -> Any:
    """Apply two convolutions beside a projection or the identity."""
    y = keras.layers.ReLU()(conv(x, channels, f"{name}_1", strides))
    y = conv(y, channels, f"{name}_2")
    if strides > 1:
        x = conv(x, channels, f"{name}_0", strides, kernel_size=1)
    return keras.layers.ReLU()(keras.layers.Add()([x, y]))


def conv(
    x: Any, channels: int, name: str, strides: int = 1, kernel_size: int = 3
) -> Any:
    """Apply a convolution and batch normalization."""
    x = keras.layers.Conv2D(
        channels,
        kernel_size,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    return keras.layers.BatchNormalization(momentum=0.9)(x)


def augment(x: Any, seed: Any) -> Any:
    """Flip an image, or not, and shift it by up to four pixels."""
    x = tf.image.stateless_random_flip_left_right(x, seed)
    x = tf.pad(x, [[4, 4], [4, 4], [0, 0]], "REFLECT")
    start = tf.random.stateless_uniform((2,), seed, 0, 9, tf.int32)
    return tf.slice(x, tf.concat([start, [0]], 0), (32, 32, 3))


def augmented(data: Any) -> Any:
    """Augment every example of a pipeline of batches anew each epoch."""
    generator = tf.random.Generator.from_seed(0)

    def batch(x: Any, y: Any) -> Any:
        seeds = generator.uniform((tf.shape(x)[0], 2), 0, 2**30, tf.int32)
        return tf.map_fn(
            lambda pair: augment(*pair),
            (x, seeds),
            fn_output_signature=tf.TensorSpec((32, 32, 3), x.dtype),
        ), y

    return data.map(batch).prefetch(2)


def keyword_spotter(width: float) -> keras.Model:
    """Return a `ds_cnn` for spectrograms of half a second."""
    return keras_kd.students.ds_cnn(SPECTROGRAM, 10, width=width)


@cache
def wide_spotter(epochs: int = 12) -> Function:
    """Train a teacher four times as wide as the student."""
    (x, y), _ = speech()
    keras.utils.set_random_seed(0)
    teacher = keyword_spotter(1.0)
    rate = keras.optimizers.schedules.CosineDecay(1e-2, epochs * len(y) // 32)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    teacher.compile(keras.optimizers.Adam(rate), loss)
    teacher.fit(x, y, batch_size=32, epochs=epochs, verbose=0)
    return probabilities(teacher)


def speech() -> Any:
    """Return log-mel spectrograms of spoken digits, frames first."""
    read = defaults_data.READERS["spoken_digit_compact"]
    return [
        (np.ascontiguousarray(x.swapaxes(1, 2)), y)
        for x, y in read("spoken_digit_compact")
    ]


def fixed(values: dict[str, Any]) -> keras_tuner.HyperParameters:
    """Return hyperparameters that have these values."""
    hp = keras_tuner.HyperParameters()
    for name, value in values.items():
        hp.Fixed(name, value)
    return hp


SPECTROGRAM = (65, 32, 1)
TASKS = {
    "cifar10_jpeg": Task(
        data=lambda: defaults_data.READERS["cifar10_jpeg"]("cifar10_jpeg"),
        student=resnet8,
        searched=early_resnet,
        teachers=lambda members: {
            "committee": lambda: committee(members()),
            "published": published_teacher,
        },
        best_teacher="committee",
        temperature=2.0,
        epochs=8,
        rate=4e-3,
        augment=True,
        size_bytes=98_496,
        search_examples=10_000,
        search_epochs=4,
        validation=2000,
    ),
    "spoken_digit_compact": Task(
        data=speech,
        student=lambda: keyword_spotter(0.25),
        searched=lambda hp: early_resnet(hp, SPECTROGRAM, 2, (16, 32)),
        teachers=lambda members: {"wide": wide_spotter},
        best_teacher="wide",
        temperature=1.0,
        epochs=20,
        rate=1e-2,
        augment=False,
        size_bytes=0,
        search_examples=2000,
        search_epochs=10,
        validation=250,
    ),
}
QUICK = (
    "spoken_digit_compact",
    TASKS["spoken_digit_compact"]._replace(
        searched=lambda hp: keyword_spotter(hp.Float("width", 0.06, 0.12)),
        teachers=lambda members: {"wide": partial(wide_spotter, 1)},
        epochs=1,
        search_examples=200,
        search_epochs=1,
        trials=1,
    ),
)
