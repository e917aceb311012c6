"""Functions that users give and that are saved with a model."""

from typing import Any

import keras


def saved_function(
    function: Any, *, subject: str, argument: str, instead: str
) -> Any:
    """Return the serialized form of a function.

    Args:
        function: A function, or a Keras object without weights.
        subject: Class to name in the error.
        argument: Its argument.
        instead: What the user can do instead of registering it.

    Raises:
        ValueError: If Keras could not load it again.
    """
    known = function if hasattr(function, "__name__") else type(function)
    name = keras.saving.get_registered_name(known)
    registered = keras.saving.get_registered_object(name) is known
    library = type(function).__module__.split(".")[0] == "keras"
    if (registered or library) and not getattr(function, "weights", None):
        return keras.saving.serialize_keras_object(function)
    raise ValueError(
        f"`{subject}` needs `{argument}` to be a registered function to be "
        f"saved. Received: {argument}={function!r}. Put "
        "`@keras.saving.register_keras_serializable('my_package')` above a "
        f"named function without weights, or {instead}."
    )
