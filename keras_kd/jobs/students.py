"""Students for the commands: the teacher made smaller, a family, a file."""

import functools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import requirement
from keras_kd.jobs.models import load_student

if TYPE_CHECKING:
    import keras

    from keras_kd.data import Splits

# The families of `keras_kd.students` by the kind of data that they take.
FAMILIES = {
    "images": (
        "mlp",
        "convnet",
        "resnet",
        "wide_resnet",
        "vgg",
        "mobilenet_v2",
        "mobilenet_v3",
        "shufflenet_v2",
        "ds_cnn",
    ),
    "audio": ("ds_cnn",),
    "text": ("text_cnn", "text_transformer"),
    "numbers": ("mlp",),
    "other": ("mlp",),
}
STUDENTS = ("shrink", *dict.fromkeys(sum(FAMILIES.values(), ())))

MakeStudent = Callable[[float], "keras.Model"]


def check_student(command: str, text: str) -> None:
    """Check `--student` of a command that takes files and widths.

    Raises:
        FileNotFoundError: If it is a file that does not exist.
        ValueError: If it is neither a file nor a known student.
    """
    if _is_file(text):
        if not Path(text).exists():
            load_student(Path(text))
        return
    name, _, width = text.partition(":")
    check_choice(command, "student", name, STUDENTS)
    if (width or ":" in text or name == "shrink") and not _is_width(width):
        raise ValueError(
            requirement(
                command,
                "student",
                f"a name with a width above 0, such as {name}:0.25",
                text,
            )
        )


def make_student(
    text: str, teacher: "keras.Model", splits: "Splits"
) -> "keras.Model":
    """Return the student that `--student` describes.

    Args:
        text: `NAME:WIDTH`, `NAME` for width 1, or a `.keras` file.
        teacher: The model that `"shrink"` makes smaller.
        splits: The data set; a family is built for its shapes.
    """
    if _is_file(text):
        return load_student(Path(text))
    name, _, width = text.partition(":")
    build = student_builder(name, teacher, splits)
    return build(float(width or 1))


def student_builder(
    name: str, teacher: "keras.Model", splits: "Splits"
) -> MakeStudent:
    """Return the function of `width` that builds a student.

    A layer in front of a family gives it what it learns from: pixels between
    0 and 1, numbers of variance 1, or the spectrogram of a recording.

    Args:
        name: One of `STUDENTS`.
        teacher: The model that `"shrink"` makes smaller.
        splits: The data set; a family is built for its shapes.

    Raises:
        ValueError: If the family does not take data of that kind.
    """
    import keras

    from keras_kd import students

    if name == "shrink":
        return lambda width: students.shrink(teacher, width=width)
    if name not in FAMILIES[splits.kind]:
        fits = ("shrink", *FAMILIES[splits.kind])
        raise ValueError(
            requirement(
                "students",
                "student",
                f"one of {', '.join(fits)} for {splits.kind}",
                name,
            )
        )
    family = getattr(students, name)
    front = _front(splits)
    if splits.kind == "text":
        family = functools.partial(
            family, vocabulary_size=_vocabulary_size(teacher)
        )

    def build(width: float) -> keras.Model:
        if not front:
            return family(splits.input_shape, splits.num_classes, width=width)
        outputs = inputs = keras.Input(splits.input_shape)
        for layer in front:
            outputs = layer(outputs)
        model = family(outputs.shape[1:], splits.num_classes, width=width)
        return keras.Model(inputs, model(outputs), name=model.name)

    return build


def _vocabulary_size(teacher: "keras.Model") -> int:
    """Return the number of words that a teacher knows."""
    import keras

    from keras_kd.core.keras_internals import flatten_layers

    sizes = [
        layer.input_dim
        for layer in flatten_layers(teacher)
        if isinstance(layer, keras.layers.Embedding)
    ]
    if not sizes:
        raise ValueError(
            requirement(
                "students",
                "student",
                "shrink, or a .keras file, for a teacher without a "
                "`keras.layers.Embedding`, which tells its vocabulary",
                teacher,
            )
        )
    return max(sizes)


def _front(splits: "Splits") -> list["keras.Layer"]:
    """Return the layers in front of a family."""
    import keras

    if splits.kind == "numbers":
        normalize = keras.layers.Normalization()
        normalize.adapt(splits.train.map(lambda x, y: x))
        return [normalize]
    if splits.kind == "audio":
        samples = splits.input_shape[0]
        # About 60 frames, half over one another.
        frame = int(min(max(2 ** round(math.log2(samples / 32)), 16), 512))
        spectrogram = keras.layers.STFTSpectrogram(
            mode="log",
            frame_length=frame,
            frame_step=frame // 2,
            fft_length=frame,
        )
        return [
            keras.layers.Reshape((samples, -1)),
            spectrogram,
            keras.layers.Reshape((-1, frame // 2 + 1, 1)),
        ]
    if splits.scale in (None, "0..1"):
        return []
    from keras_kd.data.ranges import RANGES

    factor, offset = RANGES[splits.scale]
    return [keras.layers.Rescaling(1 / factor, -offset / factor)]


def _is_file(text: str) -> bool:
    return Path(text).suffix in (".keras", ".h5") or Path(text).is_file()


def _is_width(text: str) -> bool:
    return bool(re.fullmatch(r"\d*\.?\d+", text)) and float(text) > 0
