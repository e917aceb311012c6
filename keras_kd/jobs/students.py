"""Students for the commands: the teacher made smaller, a family, a file."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import requirement
from keras_kd.jobs.images import RANGES
from keras_kd.jobs.models import load_student

if TYPE_CHECKING:
    import keras

    from keras_kd.data import Splits

# The families of `keras_kd.students` that take images.
FAMILIES = (
    "mlp",
    "convnet",
    "resnet",
    "wide_resnet",
    "vgg",
    "mobilenet_v2",
    "mobilenet_v3",
    "shufflenet_v2",
)
STUDENTS = ("shrink", *FAMILIES)

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
    text: str, teacher: "keras.Model", splits: "Splits", scale: str
) -> "keras.Model":
    """Return the student that `--student` describes.

    Args:
        text: `NAME:WIDTH`, `NAME` for width 1, or a `.keras` file.
        teacher: The model that `"shrink"` makes smaller.
        splits: The data set; a family is built for its shapes.
        scale: One of `RANGES`, the range of the images.
    """
    if _is_file(text):
        return load_student(Path(text))
    name, _, width = text.partition(":")
    build = student_builder(name, teacher, splits, scale)
    return build(float(width or 1))


def student_builder(
    name: str, teacher: "keras.Model", splits: "Splits", scale: str
) -> MakeStudent:
    """Return the function of `width` that builds a student.

    Families learn from images between 0 and 1; for another range a layer in
    front rescales.

    Args:
        name: One of `STUDENTS`.
        teacher: The model that `"shrink"` makes smaller.
        splits: The data set; a family is built for its shapes.
        scale: One of `RANGES`, the range of the images.
    """
    import keras

    from keras_kd import students

    if name == "shrink":
        return lambda width: students.shrink(teacher, width=width)
    family = getattr(students, name)
    factor, offset = RANGES[scale]

    def build(width: float) -> keras.Model:
        model = family(splits.input_shape, splits.num_classes, width=width)
        if factor == 1:
            return model
        inputs = keras.Input(splits.input_shape)
        front = keras.layers.Rescaling(1 / factor, -offset / factor)
        return keras.Model(inputs, model(front(inputs)), name=model.name)

    return build


def _is_file(text: str) -> bool:
    return Path(text).suffix in (".keras", ".h5") or Path(text).is_file()


def _is_width(text: str) -> bool:
    return bool(re.fullmatch(r"\d*\.?\d+", text)) and float(text) > 0
