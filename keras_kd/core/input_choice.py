"""Selects the part of the data that a teacher or a student takes."""

from collections.abc import Callable
from typing import Any

import keras

from keras_kd.core.checks import nearest
from keras_kd.core.checks import requirement
from keras_kd.core.checks import show
from keras_kd.core.taps import input_spec

InputChoice = str | Callable[[Any], Any] | None
_REMEMBERED = "_keras_kd_input"


def check_input_choice(how: Any, *, subject: str, argument: str) -> Any:
    """Return `how` if it is `None`, a key or a function.

    Raises:
        TypeError: If it is none of these.
    """
    if how is None or isinstance(how, str) or callable(how):
        return how
    raise TypeError(
        requirement(
            subject,
            argument,
            "a function of x, a key of a dict x, or None",
            how,
        )
    )


def choose_input(
    x: Any, how: InputChoice, *, subject: str, argument: str
) -> Any:
    """Return the part of `x` that one model takes.

    Args:
        x: A batch of inputs.
        how: A function of `x`, a key of a dict `x`, or `None` for all of it.
        subject: Class or function to name in the error.
        argument: Name of the user's argument, for the error.

    Raises:
        ValueError: If `how` is a key that `x` does not have.
    """
    if how is None:
        return x
    if not isinstance(how, str):
        return how(x)
    if not isinstance(x, dict):
        raise ValueError(
            f"`{subject}` needs data whose x is a dict, because "
            f"`{argument}` is a key. Received: {argument}={how!r} and x of "
            f"type {type(x).__name__}. Give a dict, or a function of x."
        )
    if how not in x:
        raise ValueError(
            f"`{subject}` needs `{argument}` to be a key of x, one of "
            f"{show(list(x))}. Received: {argument}={how!r}. "
            f"{nearest(how, x)}".rstrip()
        )
    return x[how]


def remember_key(model: Any, how: InputChoice) -> None:
    """Note on a model the key of its part of the data.

    A function is not noted: it would be called on data of any form. The note
    lives as long as the object; a file of the model lacks it.
    """
    if isinstance(how, str):
        object.__setattr__(model, _REMEMBERED, how)


def remembered_part(model: Any) -> Callable[[Any], Any] | None:
    """Return what chooses a model's part of a dict by the key noted on it.

    Other data are returned whole. `None` without a note.
    """
    key = getattr(model, _REMEMBERED, None)
    if key is None:
        return None
    return lambda x: x.get(key, x) if isinstance(x, dict) else x


def check_inputs(
    model: keras.Model, x: Any, *, subject: str, role: str, argument: str
) -> None:
    """Check that a batch has the inputs that a model takes.

    Args:
        model: A built model.
        x: A batch of inputs. Of a dict, Keras takes the keys it needs.
        subject: Class or function to name in the error.
        role: The model's role in the error.
        argument: The argument that chooses the model's part of x.

    Raises:
        ValueError: If inputs are missing, or if there are others.
    """
    spec = input_spec(model, subject=subject, role=role)
    shapes = [tuple(tensor.shape) for tensor in keras.tree.flatten(spec)]
    wanted = len(shapes)
    tensors = getattr(model, "inputs", None) or []
    names = list(spec) if isinstance(spec, dict) else [t.name for t in tensors]
    if isinstance(x, dict) and names and set(names) <= set(x):
        return
    given = len(keras.tree.flatten(x))
    keyed = isinstance(x, dict) and (wanted > 1 or isinstance(spec, dict))
    if given == wanted and not keyed:
        return
    raise ValueError(
        requirement(
            subject,
            "dataset",
            f"of the inputs of the {role} `{model.name}`, "
            + ", ".join(map(repr, spec if isinstance(spec, dict) else shapes)),
            list(x) if isinstance(x, dict) else f"{given} tensors",
            f"Say which part of x it takes with `{argument}=`: a key, or a "
            "function of x.",
        )
    )
