"""A student that ends in its teacher's classifier."""

from typing import Any

import keras
from keras import layers

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import requirement
from keras_kd.core.graphs import calls
from keras_kd.core.graphs import is_graph
from keras_kd.core.graphs import view
from keras_kd.core.layer_paths import find_layer
from keras_kd.core.taps import carry

_SUBJECT = "students.with_teacher_head"


def with_teacher_head(
    teacher: keras.Model,
    student: keras.Model,
    *,
    teacher_layer: str,
    student_layer: str,
    reduction: int = 2,
) -> keras.Model:
    """Make a student that ends in its teacher's classifier.

    It is `student` up to `student_layer`, a projector (convolutions 1x1, 3x3
    and 1x1, each with BatchNormalization and ReLU) that brings its map to
    the teacher's width, and a copy of the teacher's layers behind
    `teacher_layer`, which does not train. Distil it with
    `keras_kd.losses.SimKD`. The result is an ordinary model, so what it
    evaluates, saves and exports includes projector and head.

    Reference: Chen et al. 2022 (arXiv 2203.14001), section 3.2.

    Args:
        teacher: A Functional or Sequential model.
        student: A Functional or Sequential model of the same inputs. Its
            layers are shared with the result, not copied; those behind
            `student_layer` are left out.
        teacher_layer: The layer whose output the teacher's head takes,
            usually the activation before the global pooling. The projector
            ends in a ReLU, so it cannot give values below 0.
        student_layer: The student's layer that the projector takes.
        reduction: The 3x3 convolution has the teacher's channels divided by
            this number, at least 1. Defaults to 2.

    Returns:
        A Functional model named as the student, not compiled. The projector
        ends in the layer `"projector"`; the head's layers have the teacher's
        names after `"teacher_"`. A student's map whose size is a multiple of
        the teacher's is average-pooled in front of the projector.

    Raises:
        TypeError: If `teacher` or `student` is no Functional or Sequential
            model.
        ValueError: If a layer is not found or gives no image's map
            (channels last), the teacher's layers behind `teacher_layer` need
            more than its output, or its head does not take the student's
            map.

    Example:
    >>> import keras_kd
    >>> teacher = keras_kd.students.resnet((32, 32, 3), 10)
    >>> student = keras_kd.students.convnet((32, 32, 3), 10, width=0.25)
    >>> joined = keras_kd.students.with_teacher_head(
    ...     teacher, student, teacher_layer="stage_3", student_layer="stage_3")
    >>> joined.get_layer("projector").output.shape
    (None, 8, 8, 64)
    """
    check_integer(_SUBJECT, "reduction", reduction, low=1)
    wanted = _map(teacher, "teacher", teacher_layer)
    head = _head(teacher, wanted, teacher_layer)
    x = _map(student, "student", student_layer)
    x = _projected(_pooled(x, wanted), wanted.shape[-1], reduction)
    try:
        outputs = _classified(teacher, head, {id(wanted): x})
    except ValueError as error:
        raise ValueError(
            requirement(
                _SUBJECT,
                "student_layer",
                "a layer whose map the teacher's head takes in place of "
                f"{tuple(wanted.shape[1:])}",
                student_layer,
                f"It gives {tuple(x.shape[1:])} behind the projector. Choose "
                "a layer whose map is as large, or a multiple of it.",
            )
        ) from error
    model = keras.Model(view(student).input, outputs, name=student.name)
    return carry(teacher, model)


def _map(model: Any, role: str, path: str) -> Any:
    """Return the map that a layer of the model itself gives."""
    if not is_graph(model) or not model.built:
        raise TypeError(
            requirement(
                _SUBJECT,
                role,
                "a built Functional or Sequential model",
                model,
                "Only these tell their layers: a cache, a function and a "
                "subclassed model do not.",
            )
        )
    layer = find_layer(model, path, subject=_SUBJECT, argument=f"{role}_layer")
    made = [
        tensor
        for call in calls(view(model))
        if call.operation is layer
        for tensor in call.output_tensors
    ]
    if len(made) != 1 or len(made[0].shape) != 4:
        raise ValueError(
            requirement(
                _SUBJECT,
                f"{role}_layer",
                f"a layer of `{model.name}` itself, called once, that gives "
                "maps `(batch, height, width, channels)`",
                path,
            )
        )
    return made[0]


def _head(teacher: keras.Model, wanted: Any, path: str) -> list[Any]:
    """Return the calls of the teacher's layers behind a map."""
    known = {id(wanted)}
    head = []
    for call in calls(view(teacher)):
        if all(id(tensor) in known for tensor in call.arguments.keras_tensors):
            head.append(call)
            known.update(map(id, call.output_tensors))
    if not head or not known.issuperset(map(id, view(teacher).outputs)):
        raise ValueError(
            requirement(
                _SUBJECT,
                "teacher_layer",
                f"in front of the head of `{teacher.name}`, and all that the "
                "head takes",
                path,
                "Name the last layer before the global pooling.",
            )
        )
    return head


def _pooled(x: Any, wanted: Any) -> Any:
    """Average-pool a map whose size is a multiple of the teacher's."""
    pool = tuple(
        own // size if own and size and own % size == 0 else 1
        for own, size in zip(x.shape[1:3], wanted.shape[1:3], strict=True)
    )
    if pool == (1, 1):
        return x
    return layers.AveragePooling2D(pool, name="projector_pool")(x)


def _projected(x: Any, channels: int, reduction: int) -> Any:
    hidden = max(1, channels // reduction)
    for place, filters, size in (
        ("projector_1", hidden, 1),
        ("projector_2", hidden, 3),
        ("projector", channels, 1),
    ):
        x = layers.Conv2D(
            filters, size, padding="same", use_bias=False, name=f"{place}_conv"
        )(x)
        x = layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, name=f"{place}_norm"
        )(x)
        x = layers.ReLU(name=place)(x)
    return x


def _classified(
    teacher: keras.Model, head: list[Any], known: dict[int, Any]
) -> Any:
    """Return what copies of the head's layers make of another map.

    Args:
        teacher: The teacher.
        head: The calls of its layers.
        known: The other map, by the id of the teacher's.
    """

    def replaced(structure: Any) -> Any:
        return keras.tree.map_structure(
            lambda leaf: known.get(id(leaf), leaf), structure
        )

    copies: dict[int, Any] = {}
    for call in head:
        args, kwargs = replaced((call.arguments.args, call.arguments.kwargs))
        key = id(call.operation)
        if key not in copies:
            copies[key] = _copied(call.operation)
        copy = copies[key]
        made = keras.tree.flatten(copy(*args, **kwargs))
        known.update(zip(map(id, call.output_tensors), made, strict=True))
        if isinstance(copy, keras.Layer):
            copy.set_weights(call.operation.get_weights())
    wanted = view(teacher).output
    outputs = replaced(wanted)
    for old, new in zip(
        keras.tree.flatten(wanted), keras.tree.flatten(outputs), strict=True
    ):
        if old.shape != new.shape:
            raise ValueError(f"Outputs {old.shape} and {new.shape} differ.")
    return outputs


def _copied(operation: Any) -> Any:
    """Return a frozen copy of a layer, without weights."""
    config = operation.get_config() | {"name": f"teacher_{operation.name}"}
    copy = type(operation).from_config(config)
    if isinstance(copy, keras.Layer):
        copy.trainable = False
    return copy
