"""Turns any kind of teacher into the `BoundTeacher` that a Distiller holds."""

from collections.abc import Iterable
from typing import Any

from keras_kd.core.checks import requirement
from keras_kd.core.input_choice import InputChoice
from keras_kd.core.input_choice import check_input_choice
from keras_kd.core.taps import Tapped
from keras_kd.teachers.base import BoundTeacher
from keras_kd.teachers.joined import JoinedTeacher
from keras_kd.teachers.live import LiveTeacher


def bind(
    teacher: Any,
    layers: Iterable[str] = (),
    output_kind: Any = None,
    *,
    logits: bool = True,
    input: InputChoice = None,
    subject: str = "Distiller",
    strict: bool = True,
) -> BoundTeacher:
    """Return a teacher together with the layers and logits to read from it.

    Args:
        teacher: A Keras model, an `Ensemble`, a `HostTeacher`, a
            `TeacherCache`, or an object with a method
            `bind(layers, output_kind, logits=...)`.
        layers: Names or paths of the layers to read.
        output_kind: The kind of the outputs, if the teacher does not tell.
        logits: Whether to return logits.
        input: The part of x that the teacher takes: a function, or a key.
        subject: Class or function to name in error messages.
        strict: Whether to refuse an output of unknown kind at once; if not,
            call `settle` and `check`.

    Raises:
        TypeError: If `teacher` is none of these, or `input` is neither a
            function nor a key.
        ValueError: If `input` is given for a cache.
    """
    check_input_choice(input, subject=subject, argument="teacher_input")
    bound: BoundTeacher
    if hasattr(teacher, "bind"):
        bound = teacher.bind(layers, output_kind, logits=logits)
    elif isinstance(getattr(teacher, "spec", None), Tapped):
        bound = JoinedTeacher(teacher, layers, output_kind)
        if input is not None:
            raise ValueError(
                requirement(
                    subject,
                    "teacher_input",
                    "None when the teacher is a TeacherCache",
                    input,
                    "Give it to `TeacherCache.build`.",
                )
            )
    else:
        bound = LiveTeacher(
            teacher,
            layers,
            output_kind,
            logits=logits,
            subject=subject,
            strict=strict,
        )
    bound.input, bound.subject = input, subject
    return bound
