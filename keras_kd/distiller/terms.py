"""Which outputs each distillation loss compares."""

from typing import Any
from typing import NamedTuple

import keras

from keras_kd.core.checks import nearest
from keras_kd.core.checks import show
from keras_kd.core.taps import Tapped
from keras_kd.losses import DistillationLoss


class Pair(NamedTuple):
    """What a loss gets, and the output whose labels and weights count.

    Attributes:
        teacher: The teacher's logits or features.
        student: The student's.
        masked: The student's tensor whose Keras mask counts: the output
            itself for logits, the tapped tensor for features; `None` where
            several layers are compared at once.
        key: Name or index of the output, `None` for a single one and for
            features.
    """

    teacher: Any
    student: Any
    masked: Any
    key: Any = None


def layer_names(losses: list[DistillationLoss], role: str) -> list[str]:
    """Return every layer of a model that the losses read."""
    names: dict[str, None] = {}
    for loss in losses:
        for name in _as_list(getattr(loss, f"{role}_layer")):
            names[name] = None
    return list(names)


def pairs(
    loss: DistillationLoss, teacher: Tapped, student: Tapped
) -> list[Pair]:
    """Return what a loss compares: one pair, or one for each output.

    Raises:
        ValueError: If the models' outputs do not correspond, or the loss
            names an output that they do not have.
    """
    if loss.teacher_layer is not None:
        tapped = _features(student, loss.student_layer)
        single = not keras.tree.is_nested(tapped)
        return [
            Pair(
                _features(teacher, loss.teacher_layer),
                tapped,
                tapped if single else None,
            )
        ]
    outputs = [_outputs(tapped.logits) for tapped in (teacher, student)]
    if loss.output_name is not None:
        for role, named in zip(("teacher", "student"), outputs, strict=True):
            if loss.output_name not in named:
                raise ValueError(
                    f"`{loss.name}` needs `output` to be an output of the "
                    f"{role}, one of {show(list(named))}. Received: "
                    f"output={loss.output_name!r}. "
                    f"{nearest(loss.output_name, named)}".rstrip()
                )
        outputs = [
            {loss.output_name: named[loss.output_name]} for named in outputs
        ]
    if set(outputs[0]) != set(outputs[1]):
        raise ValueError(
            f"`{loss.name}` needs teacher and student to have the same "
            f"outputs. Received: teacher outputs {show(list(outputs[0]))}, "
            f"student outputs {show(list(outputs[1]))}. Name the outputs "
            "alike, or choose one with `output=`."
        )
    predictions = _outputs(student.predictions)
    return [
        Pair(outputs[0][key], outputs[1][key], predictions[key], key)
        for key in outputs[1]
    ]


def _outputs(logits: Any) -> dict[Any, Any]:
    """Name the outputs of a model: by key, by index, or `None` for one."""
    if isinstance(logits, dict):
        return dict(logits)
    if isinstance(logits, (list, tuple)):
        if len(logits) == 1:
            return {None: logits[0]}
        return dict(enumerate(logits))
    return {None: logits}


def _features(tapped: Tapped, layers: Any) -> Any:
    if isinstance(layers, str):
        return tapped.features[layers]
    return [tapped.features[layer] for layer in layers]


def _as_list(layers: Any) -> list[str]:
    if layers is None:
        return []
    return list(layers) if isinstance(layers, (list, tuple)) else [layers]
