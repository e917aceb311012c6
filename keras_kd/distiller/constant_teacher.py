"""Has a fit trace the teacher's weights as constants, and watches them.

See `keras_kd.core.frozen`. A fit traces its step once and runs it often, so it
has to notice whatever changes the teacher meanwhile.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from typing import Any

import keras

if TYPE_CHECKING:
    from keras_kd.distiller.distiller import Distiller


@contextmanager
def constant(distiller: "Distiller", *, own_step: bool) -> Iterator[None]:
    """Trace the teacher's weights as constants, if nothing trains them.

    Not in eager execution, and not under XLA, which fuses the teacher
    itself and compiles large constants slowly.

    Args:
        distiller: The Distiller that fits.
        own_step: Whether it is of a subclass with a `train_step` of its own,
            which may change the teacher at any time.
    """
    teacher = distiller._teacher
    if teacher is None or own_step or _is_trained(distiller):
        yield
        return
    teacher.constant = not distiller.jit_compile
    try:
        yield
    finally:
        teacher.constant = False


def refresh(distiller: "Distiller") -> None:
    """Have the step traced anew if the teacher changed since the last fit."""
    teacher = distiller._teacher
    if teacher is not None and teacher.frozen.changed():
        distiller.train_function = None  # Its constants are old.
        teacher.frozen.forget()


def watch(
    distiller: "Distiller", others: Iterable[Any]
) -> keras.callbacks.Callback:
    """Return a callback that notices when another changes the teacher.

    The fit then goes on with the teacher's variables. It looks before each
    epoch, and before each batch if a callback of the user's acts on batches.

    Args:
        distiller: The Distiller that fits.
        others: The user's callbacks.
    """

    def look(*args: Any, **kwargs: Any) -> None:
        del args, kwargs
        teacher = distiller._teacher
        if teacher is not None and teacher.frozen.changed():
            teacher.frozen.refuse("they change during `fit`")
            distiller.make_train_function(force=True)

    hooks = {"on_epoch_begin": look}
    if any(_acts_on_batches(callback) for callback in others):
        hooks["on_train_batch_begin"] = look
    return keras.callbacks.LambdaCallback(**hooks)


def _is_trained(distiller: "Distiller") -> bool:
    """Tell whether student and teacher share weights."""
    own = {id(variable) for variable in distiller.variables}
    return any(
        id(variable) in own
        for model in getattr(distiller._teacher, "models", ())
        for variable in model.variables
    )


def _acts_on_batches(callback: Any) -> bool:
    """Tell whether a callback of the user's acts on each batch.

    Those of Keras and of this package leave the teacher's weights alone.
    """
    own = type(callback)
    ours = own.__module__.startswith(("keras.", "keras_kd."))
    if ours and own is not keras.callbacks.LambdaCallback:
        return False
    base = keras.callbacks.Callback
    names = [
        f"on_{kind}_{when}"
        for kind in ("batch", "train_batch")
        for when in ("begin", "end")
    ]
    return any(
        getattr(getattr(callback, name), "__func__", None)
        is not getattr(base, name)
        for name in names
    )
