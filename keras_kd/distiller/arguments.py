"""The Distiller's arguments, checked and made into what it holds."""

from typing import Any

import keras

from keras_kd.core.checks import requirement
from keras_kd.core.taps import input_spec
from keras_kd.losses import DistillationLoss
from keras_kd.losses import SoftTargets
from keras_kd.losses import get

ALPHA_ADVICE = (
    "It weights the distillation part; 0.9 is usual. For weights that do not "
    "add up to 1, use `student_loss_weight` and the losses' `weight`."
)


def resolve_losses(losses: Any, temperature: Any) -> list[DistillationLoss]:
    """Return the distillation losses that `losses` names.

    Raises:
        ValueError: If there is none, or `temperature` is given too.
    """
    if losses is None:
        return [SoftTargets(4.0 if temperature is None else temperature)]
    if temperature is not None:
        raise ValueError(
            requirement(
                "Distiller",
                "temperature",
                "None when `losses` is given",
                temperature,
                "Give it to the loss: `SoftTargets(temperature=...)`.",
            )
        )
    listed = list(losses) if isinstance(losses, (list, tuple)) else [losses]
    if not listed:
        raise ValueError(
            requirement("Distiller", "losses", "one loss or more", losses)
        )
    return [get(loss) for loss in listed]


def build_student(student: keras.Model, teacher: Any) -> None:
    """Build a student that has no input shape yet with the teacher's."""
    if not student.built and isinstance(teacher, keras.Model):
        spec = input_spec(teacher, subject="Distiller", role="teacher")
        student.build(keras.tree.map_structure(lambda t: t.shape, spec))


def saved_input(how: Any, argument: str) -> Any:
    """Return what saves `teacher_input` or `student_input`.

    Args:
        how: `None`, a key, or a function.
        argument: Which of the two it is.

    Raises:
        ValueError: If it is a function that Keras could not load again.
    """
    if how is None or isinstance(how, str):
        return how
    known = how if hasattr(how, "__name__") else type(how)
    name = keras.saving.get_registered_name(known)
    registered = keras.saving.get_registered_object(name) is known
    library = type(how).__module__.split(".")[0] == "keras"
    if (registered or library) and not getattr(how, "weights", None):
        return keras.saving.serialize_keras_object(how)
    raise ValueError(
        f"`Distiller` needs `{argument}` to be a registered function to be "
        f"saved. Received: {argument}={how!r}. Put "
        "`@keras.saving.register_keras_serializable('my_package')` above a "
        "named function without weights, or save `distiller.student` alone."
    )
