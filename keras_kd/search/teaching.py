"""Runs a search's teacher once, and checks the data before the first trial."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import filelock

from keras_kd.core.checks import requirement
from keras_kd.search.cluster import AnyOracle
from keras_kd.search.trials.hypermodel import StudentHyperModel
from keras_kd.search.trials.task import StudentOutputs
from keras_kd.search.trials.task import is_joined
from keras_kd.search.trials.task import labels_of
from keras_kd.search.trials.task import task_loss
from keras_kd.teachers import TeacherCache


def check_validated(objective: Any, validated: bool) -> None:
    """Raise if the objective needs validation data and there is none.

    Args:
        objective: The search's objective.
        validated: Whether there is validation data.

    Raises:
        ValueError: If the objective needs validation data.
    """
    parts = getattr(objective, "objectives", [objective])
    names = [part.name for part in parts if part.name.startswith("val_")]
    if names and not validated:
        raise ValueError(
            requirement(
                "StudentTuner.search",
                "validation_data",
                f"given for the objective {names[0]!r}",
                None,
                "Nothing named `val_` is logged without it. Give it, or take "
                "an objective such as 'accuracy'.",
            )
        )


def tell_loss(
    hypermodel: StudentHyperModel, oracle: AnyOracle, data: tuple[Any, ...]
) -> bool:
    """Infer the task's loss from the data, if the user gave none.

    Args:
        hypermodel: Receives the loss.
        oracle: The search's oracle. Its default values build a student whose
            head is inspected.
        data: What `search` got: a data set, or `x, y`.

    Returns:
        Whether the loss was inferred.

    Raises:
        ValueError: If the head and the labels do not determine the loss.
    """
    head = hypermodel.head or StudentOutputs.of(
        hypermodel.build(oracle.get_space())
    )
    if hypermodel.loss is not None or not hypermodel.needs_task:
        return False
    labels = labels_of(data if len(data) > 1 else data[0])
    hypermodel.loss = task_loss(head, labels)
    return True


def teach_once(
    teacher: Any,
    data: Any,
    folder: Path,
    *,
    layers: Iterable[str] = (),
    teacher_id: str | None = None,
    verbose: Any = "auto",
) -> tuple[Any, Any]:
    """Join a teacher's outputs to the data, once for all trials.

    A `TeacherCache` is joined to the data. The outputs of a live teacher are
    first cached in `folder`; if another worker or an earlier run already
    cached them, nothing is computed. Data that is already joined is returned
    unchanged.

    Args:
        teacher: What a `Distiller` takes.
        data: What `fit` takes as x: a data set, or arrays.
        folder: Folder for the cache of a live teacher.
        layers: Layers of the teacher that the losses read.
        teacher_id: As in `TeacherCache.build`.
        verbose: 0 for silence.

    Returns:
        The teacher and the data that every trial trains with.

    Raises:
        StaleCacheError: If the folder holds the outputs of another teacher.
        ValueError: If there is no teacher, or the data changes between two
            passes.
    """
    if is_joined(data):
        return teacher, data
    if teacher is None:
        raise ValueError(
            requirement(
                "StudentTuner",
                "teacher",
                "a teacher, when the data is not joined to a cache",
                None,
                "Give the teacher, or search on `cache.join(dataset)`.",
            )
        )
    if isinstance(teacher, TeacherCache):
        return teacher, teacher.join(data)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # One worker builds the cache; the others wait for it.
    with filelock.FileLock(f"{folder}.lock"):
        cache = TeacherCache.build(
            folder,
            teacher,
            data,
            layers=layers,
            teacher_id=teacher_id,
            verbose=verbose,
        )
    return cache, cache.join(data)
