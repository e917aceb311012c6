"""Makes the Distillers of a regime, and checks what they are made of."""

from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import keras

from keras_kd.core.checks import requirement
from keras_kd.core.checks import show
from keras_kd.distiller import Distiller

MakeDistiller = Callable[[Any, keras.Model], Distiller]


def make(
    subject: str, make_distiller: MakeDistiller, teacher: Any, student: Any
) -> Distiller:
    """Return the compiled Distiller of one teacher and one student.

    Args:
        subject: The regime, for error messages.
        make_distiller: The user's function.
        teacher: The teacher that the regime chose.
        student: The student that the regime chose.

    Raises:
        TypeError: If the function returns something else.
        ValueError: If the Distiller has another teacher or student, or is
            not compiled.
    """
    distiller = make_distiller(teacher, student)
    message = requirement(
        subject,
        "make_distiller",
        "a function that returns a compiled Distiller of the teacher and the "
        "student that it is given",
        distiller,
    )
    if not isinstance(distiller, Distiller):
        raise TypeError(message)
    given = distiller.teacher is teacher and distiller.student is student
    if not (given and distiller.compiled):
        raise ValueError(message)
    return distiller


def check_callable(subject: str, argument: str, value: Any) -> None:
    """Check that an argument is a function.

    Raises:
        TypeError: If it cannot be called, or is a model.
    """
    if isinstance(value, keras.Model) or not callable(value):
        raise TypeError(requirement(subject, argument, "a function", value))


def check_fit(subject: str, fit: Any) -> None:
    """Check the arguments of `fit`.

    Raises:
        TypeError: If they are not a dict.
    """
    if not isinstance(fit, dict):
        raise TypeError(
            requirement(
                subject,
                "fit",
                "a dict of the arguments of `Distiller.fit`",
                fit,
                'Write `fit={"x": x, "y": y, "epochs": 20}`.',
            )
        )


def check_own_weights(
    subject: str, student: keras.Model, others: Iterable[keras.Model]
) -> None:
    """Check that a student shares no weights with other models.

    Raises:
        ValueError: Names the first weight that is shared.
    """
    taken = {
        id(weight): (model, weight)
        for model in others
        for weight in model.weights
    }
    for weight in student.weights:
        if id(weight) in taken:
            model, shared = taken[id(weight)]
            raise ValueError(
                f"`{subject}` needs models that share no weights. Received: "
                f"{show(model)} and {show(student)}, which share "
                f"`{shared.path}`. Make new layers for each model."
            )
