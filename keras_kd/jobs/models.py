"""Models for the jobs: what a file holds, and what a model returns."""

from pathlib import Path
from typing import TYPE_CHECKING

from keras_kd.core.checks import check_choice

if TYPE_CHECKING:
    import keras


def check_output(command: str, argument: str, kind: str | None) -> None:
    """Check `--teacher-output` or `--student-output`.

    Raises:
        ValueError: If it is not a kind of output.
    """
    from keras_kd.core.output_kinds import KINDS

    if kind is not None:
        check_choice(command, argument, kind, KINDS)


def load_teacher(path: Path, output: str | None) -> "keras.Model":
    """Load a teacher, and note what it returns on it and what is made of it.

    Args:
        path: A `.keras` file.
        output: What `--teacher-output` says.
    """
    from keras_kd import teachers
    from keras_kd.core.output_kinds import remember

    teacher = teachers.load(path)
    if output is not None:
        remember(teacher, [output])
    return teacher


def kind_of(model: "keras.Model") -> str | None:
    """Return what a model of one output was found to return, if anything."""
    from keras_kd.core.output_kinds import remembered

    return next(iter(remembered(model)), None)


def load_student(path: Path) -> "keras.Model":
    """Load a student from a `.keras` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or needs a user's code to load.
    """
    from keras_kd import teachers

    if not path.exists():
        raise FileNotFoundError(
            f"No student at `{path}`. Give the path of a `.keras` file."
        )
    return teachers.load(path)
