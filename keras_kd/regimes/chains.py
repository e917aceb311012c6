"""Regimes in which each student teaches the next one."""

import os
from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import requirement
from keras_kd.core.files import staged
from keras_kd.regimes.distillers import MakeDistiller
from keras_kd.regimes.distillers import check_callable
from keras_kd.regimes.distillers import check_fit
from keras_kd.regimes.distillers import check_own_weights
from keras_kd.regimes.distillers import make

Build = Callable[[], keras.Model]


def born_again(
    teacher: Any,
    build_student: Build,
    make_distiller: MakeDistiller,
    fit: dict[str, Any],
    *,
    generations: int = 3,
    folder: str | os.PathLike[str] | None = None,
    seed: int | None = None,
) -> list[keras.Model]:
    """Train generations of students, each of which teaches the next.

    Choose it to gain accuracy at the same size: a student as large as its
    teacher often becomes better, and an ensemble of the generations is
    better still. It costs one training a generation.

    Reference:
        Furlanello et al. 2018, arXiv:1805.04770, the sequence of teaching
        selves. `keras_kd.teachers.Ensemble(students)` is the paper's BANE.

    Args:
        teacher: The first teacher, trained: whatever a `Distiller` takes.
        build_student: A function without arguments that returns a new
            student.
        make_distiller: A function of a teacher and a student that returns
            their compiled `Distiller`. It makes a new optimizer and new
            losses each time.
        fit: The arguments of `Distiller.fit`; the data is read anew for each
            student.
        generations: Number of students, 1 or more. Defaults to 3.
        folder: Where the weights of finished students are kept, so that the
            same call goes on after an interruption. Use a new folder for
            other settings. Defaults to `None`: nothing is kept.
        seed: Seed of the first student's weights and training; each later
            one gets the next integer. Defaults to `None`: not seeded.

    Returns:
        The trained students, the last generation last.

    Raises:
        TypeError: If an argument is not of its type, or a function returns
            something else.
        ValueError: If `generations` is below 1, two models share weights, or
            the Distiller is not compiled or has other models.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> import keras_kd
    >>> def make_distiller(teacher, student):
    ...     distiller = keras_kd.Distiller(teacher, student, alpha=1.0)
    ...     distiller.compile("adam")
    ...     return distiller
    >>> build = lambda: keras_kd.students.mlp((4,), 3, width=0.1)
    >>> students = keras_kd.regimes.born_again(
    ...     build(), build, make_distiller,
    ...     fit={"x": np.ones((8, 4), "float32"), "verbose": 0},
    ...     generations=2, seed=0)
    >>> ensemble = keras_kd.teachers.Ensemble(students)
    >>> print(len(students), ensemble(np.ones((5, 4), "float32")).shape)
    2 (5, 3)
    """
    check_integer("born_again", "generations", generations, low=1)
    check_callable("born_again", "build_student", build_student)
    builds = [build_student] * generations
    return _chain(
        "born_again", teacher, builds, make_distiller, fit, folder, seed
    )


def teacher_assistants(
    teacher: Any,
    builds: Sequence[Build],
    make_distiller: MakeDistiller,
    fit: dict[str, Any],
    *,
    folder: str | os.PathLike[str] | None = None,
    seed: int | None = None,
) -> list[keras.Model]:
    """Distill in steps: each assistant teaches a smaller one.

    Choose it if the student is so small that a middle-sized teacher teaches
    it better than the large one. It costs one training an assistant.

    Reference:
        Mirzadeh et al. 2020, arXiv:1902.03393.

    Args:
        teacher: The large teacher, trained: whatever a `Distiller` takes.
        builds: Functions without arguments, from the largest assistant to
            the student; each returns a new model.
        make_distiller: As in `born_again`.
        fit: As in `born_again`.
        folder: As in `born_again`.
        seed: As in `born_again`.

    Returns:
        The trained assistants and, last, the student.

    Raises:
        TypeError: If an argument is not of its type, or a function returns
            something else.
        ValueError: If `builds` is empty, two models share weights, or the
            Distiller is not compiled or has other models.

    Example:
    >>> import functools
    >>> import numpy as np
    >>> import keras_kd
    >>> def make_distiller(teacher, student):
    ...     distiller = keras_kd.Distiller(teacher, student, alpha=1.0)
    ...     distiller.compile("adam")
    ...     return distiller
    >>> mlp = functools.partial(keras_kd.students.mlp, (4,), 3)
    >>> builds = [functools.partial(mlp, width=w) for w in (0.5, 0.1)]
    >>> assistant, student = keras_kd.regimes.teacher_assistants(
    ...     mlp(), builds, make_distiller,
    ...     fit={"x": np.ones((8, 4), "float32"), "verbose": 0})
    >>> print(assistant.count_params() > student.count_params())
    True
    """
    if not isinstance(builds, (list, tuple)):
        raise TypeError(
            requirement(
                "teacher_assistants", "builds", "a list of functions", builds
            )
        )
    if not builds:
        raise ValueError(
            requirement(
                "teacher_assistants",
                "builds",
                "a list of one or more functions",
                builds,
            )
        )
    for index, build in enumerate(builds):
        check_callable("teacher_assistants", f"builds[{index}]", build)
    return _chain(
        "teacher_assistants", teacher, builds, make_distiller, fit, folder, seed
    )


def _chain(
    subject: str,
    teacher: Any,
    builds: Sequence[Build],
    make_distiller: MakeDistiller,
    fit: dict[str, Any],
    folder: str | os.PathLike[str] | None,
    seed: int | None,
) -> list[keras.Model]:
    """Train one student after the other, each under the one before."""
    check_callable(subject, "make_distiller", make_distiller)
    check_fit(subject, fit)
    several = not isinstance(teacher, keras.Model)
    others = list(getattr(teacher, "models", ())) if several else [teacher]
    students = []
    for number, build in enumerate(builds):
        if seed is not None:
            keras.utils.set_random_seed(seed + number)
        student = build()
        if not isinstance(student, keras.Model):
            raise TypeError(
                requirement(
                    subject,
                    "builds"
                    if subject == "teacher_assistants"
                    else "build_student",
                    "a function that returns a keras.Model",
                    student,
                )
            )
        distiller = make(subject, make_distiller, teacher, student)
        check_own_weights(subject, student, others)
        name = f"{number}.weights.h5"
        _fit(distiller, fit, None if folder is None else Path(folder, name))
        students.append(student)
        others.append(student)
        teacher = student
    return students


def _fit(distiller: Any, fit: dict[str, Any], path: Path | None) -> None:
    """Train the student, or load the weights that it had got already."""
    if path is None:
        distiller.fit(**fit)
    elif path.exists():
        distiller.student.load_weights(path)
    else:
        distiller.fit(**fit)
        with staged(path) as scratch:
            distiller.student.save_weights(scratch)
