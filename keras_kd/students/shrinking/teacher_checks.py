"""Refuses teachers that `shrink` cannot make smaller."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_kd.core.checks import requirement
from keras_kd.core.graphs import is_graph
from keras_kd.students.shrinking.layer_kinds import follows_input
from keras_kd.students.shrinking.layer_kinds import made_width
from keras_kd.students.shrinking.recipe import Plan
from keras_kd.students.shrinking.recipe import Rule
from keras_kd.students.shrinking.settled import has_settled_state
from keras_kd.students.shrinking.walk import operations
from keras_kd.students.shrinking.widths import Widths

SUBJECT = "students.shrink"


def check_graph(teacher: Any, rules: Mapping[type, Rule]) -> None:
    """Refuse models without a known graph, and subclassed models inside."""
    message = requirement(
        SUBJECT,
        "teacher",
        "a built Functional or Sequential model, its nested models too",
        teacher,
        "Add a keras.Input to a Sequential model; for a subclassed one write "
        "the student by hand, or take a family such as "
        "`keras_kd.students.convnet`.",
    )
    if not isinstance(teacher, keras.Model):
        raise TypeError(message)
    if not is_graph(teacher) or not teacher.built:
        raise ValueError(message)
    for operation in operations(teacher):
        ruled = any(kind in rules for kind in type(operation).__mro__)
        if isinstance(operation, keras.Model) and not ruled:
            raise ValueError(f"{message} `{operation.name}` is subclassed.")


def check_head(paths: list[list], heads: list[Any], num_classes: int) -> None:
    """Refuse a number of classes for a model without one Dense-like head."""
    if len(paths) > 1:
        expected = f"None for a teacher with {len(paths)} outputs"
    elif not heads:
        expected = (
            "None for a teacher whose output does not come from one Dense, "
            f"convolution or recurrent layer, but from `{paths[0][0].name}`"
        )
    else:
        return
    raise ValueError(requirement(SUBJECT, "num_classes", expected, num_classes))


def check_narrowable(teacher: keras.Model, plan: Plan, widths: Widths) -> None:
    """Refuse a teacher that would not get narrower."""
    if plan.width == 1 or any(plan.rule(o) for o in operations(teacher)):
        return
    for operation in operations(teacher):
        fixed = id(operation) in plan.heads or widths.pinned(id(operation))
        # A layer that has weights and cannot be narrowed counts as wide:
        # `remade` refuses it by name.
        wide = made_width(operation) is not None or (
            getattr(operation, "weights", [])
            and not follows_input(operation)
            and not has_settled_state(operation)
        )
        if wide and not fixed:
            return
    raise ValueError(
        requirement(
            SUBJECT,
            "teacher",
            "a model with a Dense or convolution layer before its head",
            teacher,
            "What is added to the model's input keeps its width.",
        )
    )


def check_outputs(
    teacher: keras.Model, student: keras.Model, plan: Plan
) -> None:
    """Refuse a student whose outputs have other sizes than the teacher's."""
    pairs = zip(teacher.outputs, student.outputs, strict=True)
    for old, new in pairs:
        if old.shape[1:] == new.shape[1:]:
            continue
        lost = plan.widths.lost if plan.widths else []
        raise ValueError(
            requirement(
                SUBJECT,
                "teacher",
                "a model that keeps the size of every output",
                teacher,
                f"An output of shape {tuple(old.shape)} would become "
                f"{tuple(new.shape)}; the channels are lost at "
                f"{', '.join(lost[:3])}. End the model in a Dense layer, or "
                "write the student by hand.",
            )
        )
