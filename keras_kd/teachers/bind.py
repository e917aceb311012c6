"""Any kind of teacher, as the Distiller holds it."""

from collections.abc import Iterable
from typing import Any

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
) -> BoundTeacher:
    """Return a teacher together with what is read of it.

    Args:
        teacher: A Keras model, an `Ensemble`, a `HostTeacher`, a
            `TeacherCache`, or an object with a method like this one:
            `bind(layers, output_kind, logits=...)`.
        layers: Names or paths of the layers that are read.
        output_kind: What the outputs are, where the teacher does not tell.
        logits: Whether logits are wanted.

    Raises:
        TypeError: If `teacher` is none of these.
    """
    if hasattr(teacher, "bind"):
        bound: BoundTeacher = teacher.bind(layers, output_kind, logits=logits)
        return bound
    if isinstance(getattr(teacher, "spec", None), Tapped):
        return JoinedTeacher(teacher, layers, output_kind)
    return LiveTeacher(teacher, layers, output_kind, logits=logits)
