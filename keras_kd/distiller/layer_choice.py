"""Chooses the layers that losses read by a pattern, or pairs them itself."""

import logging
import re
from typing import Any

import keras

from keras_kd.core.checks import requirement
from keras_kd.core.checks import show
from keras_kd.core.layer_outputs import LayerOutput
from keras_kd.core.layer_outputs import Outline
from keras_kd.core.layer_outputs import closed
from keras_kd.core.layer_outputs import outline
from keras_kd.core.layer_paths import is_pattern
from keras_kd.core.layer_paths import matching
from keras_kd.core.layer_paths import walk
from keras_kd.core.taps import Tapped
from keras_kd.distiller.layer_pairs import pair
from keras_kd.losses import DistillationLoss
from keras_kd.teachers import Ensemble

_LOGGER = logging.getLogger("keras_kd")


def choose_layers(
    losses: list[DistillationLoss], teacher: Any, student: keras.Model
) -> None:
    """Give each loss the names of its layers, where it has patterns or "auto".

    Args:
        losses: The losses; those with patterns or `layers="auto"` are changed.
        teacher: The teacher, of any kind, or `None`.
        student: The student.

    Raises:
        ValueError: If a pattern matches nothing, the models' layers are not
            equally many, or no layers can be paired.
    """
    for loss in losses:
        if loss.layers is not None:
            _pair(loss, teacher, student)
        elif loss.teacher_layer is not None:
            _match(loss, teacher, student)


def _match(loss: DistillationLoss, teacher: Any, student: keras.Model) -> None:
    models = {"teacher": teacher, "student": student}
    chosen = {
        role: _matched(loss, role, _paths(model))
        for role, model in models.items()
    }
    counts = {role: len(names) for role, names in chosen.items()}
    if counts["teacher"] != counts["student"]:
        raise ValueError(
            f"`{loss.name}` needs `teacher_layer` and `student_layer` to name "
            "equally many layers. Received: teacher_layer="
            f"{show(loss.teacher_layer)}, which names {counts['teacher']}: "
            f"{show(chosen['teacher'])}; student_layer="
            f"{show(loss.student_layer)}, which names {counts['student']}: "
            f"{show(chosen['student'])}. Narrow the longer one."
        )
    if isinstance(loss.teacher_layer, str) and counts["teacher"] == 1:
        loss.teacher_layer, loss.student_layer = (
            chosen[role][0] for role in models
        )
    elif chosen != {role: loss.layer_names(role) for role in models}:
        loss.teacher_layer, loss.student_layer = chosen.values()


def _matched(
    loss: DistillationLoss, role: str, paths: list[str] | None
) -> list[str]:
    """Return the names of a loss's layers, patterns replaced by matches."""
    found: list[str] = []
    for name in loss.layer_names(role):
        if paths is not None and is_pattern(name, paths):
            found += matching(
                name, paths, subject=loss.name, argument=f"{role}_layer"
            )
        else:
            found.append(name)
    return found


def _paths(model: Any) -> list[str] | None:
    """Return the paths of a model's layers; `None` if they are not known."""
    if isinstance(model, keras.Model):
        return [path for path, _ in walk(model)]
    if isinstance(getattr(model, "spec", None), Tapped):
        return sorted(model.spec.features, key=_natural)
    if isinstance(model, Ensemble):
        return [
            f"{number}/{path}"
            for number, member in enumerate(model.models)
            for path, _ in walk(member)
        ]
    return None


def _pair(loss: DistillationLoss, teacher: Any, student: keras.Model) -> None:
    taught = outline(student, subject="Distiller", role="student")
    if isinstance(teacher, keras.Model):
        known = outline(teacher, subject="Distiller", role="teacher")
    elif isinstance(getattr(teacher, "spec", None), Tapped):
        known = _stored(teacher, taught)
    else:
        raise ValueError(
            f"`{loss.name}` needs a Keras model or a cache to pair its layers "
            f'with, for `layers="auto"`. Received: teacher={show(teacher)}. '
            "Give it when the Distiller is made, or name the layers with "
            "`teacher_layer` and `student_layer`."
        )
    data_format = getattr(loss, "data_format", "channels_last")
    pairs = pair(known, taught, loss.auto_layers, data_format)
    if not pairs:
        raise ValueError(_nothing(loss, teacher, known, taught))
    one, other = zip(*pairs, strict=True)
    loss.teacher_layer, loss.student_layer, loss.layers = (
        list(one),
        list(other),
        None,
    )
    _LOGGER.info(
        "`%s` pairs the teacher's layers with the student's: %s",
        loss.name,
        ", ".join(f"{one} - {other}" for one, other in pairs),
    )


def _stored(cache: Any, student: Outline) -> Outline:
    """Return what a cache holds, whose inputs are the student's."""
    layers = [
        LayerOutput(path, "", closed(cache.spec.features[path].shape))
        for path in _paths(cache) or ()
    ]
    return Outline(layers, student.inputs)


def _nothing(
    loss: DistillationLoss, teacher: Any, known: Outline, student: Outline
) -> str:
    paths = [[layer.path for layer in each.layers] for each in (known, student)]
    advice = "Name the layers with `teacher_layer` and `student_layer`."
    if not isinstance(teacher, keras.Model):
        advice = (
            "Pair them once with the model that the cache is of, "
            "`keras_kd.Distiller(model, student, loss)`, and build the cache "
            "with `layers=loss.teacher_layer`."
        )
    return requirement(
        loss.name,
        "layers",
        "named one by one where no layers of teacher and student correspond",
        "auto",
        f"The teacher has {show(paths[0])}, the student {show(paths[1])}, "
        f"without the head. {advice}",
    )


def _natural(path: str) -> list[Any]:
    """Sort numbers in names by their value."""
    parts = re.split(r"(\d+)", path)
    return [int(part) if part.isdigit() else part for part in parts]
