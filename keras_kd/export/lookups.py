"""Refuses what only TensorFlow can run: strings, and tables of vocabularies."""

from typing import Any

from keras import layers

from keras_kd.core.keras_internals import flatten_layers
from keras_kd.core.keras_internals import held_layers
from keras_kd.export.context import Context

_TABLES = (
    layers.Hashing,
    layers.HashedCrossing,
    layers.IntegerLookup,
    layers.StringLookup,
    layers.TextVectorization,
)


def string_inputs(context: Context) -> list[str]:
    """Return the keys of the inputs that take strings."""
    specs = context.signature.specs
    return [spec.key for spec in specs if spec.dtype == "string"]


def check_no_lookups(
    context: Context, file: str, others: tuple[type, ...] = ()
) -> None:
    """Refuse a student with strings or lookups, before it is converted.

    Args:
        context: The model in the file.
        file: The kind of file, for the error message.
        others: Further classes of layers that such a file cannot hold.

    Raises:
        ValueError: If an input takes strings or a layer looks values up; the
            message names them.
    """
    found: list[Any] = [
        layer
        for layer in flatten_layers(context.model)
        if isinstance(layer, (*_TABLES, *others))
    ]
    inside = {id(held) for layer in found for held in held_layers(layer)}
    named = [
        f"the layer `{layer.name}` ({type(layer).__name__})"
        for layer in found
        if id(layer) not in inside
    ]
    texts = [f"the string input `{key}`" for key in string_inputs(context)]
    if texts or named:
        raise context.refusal(
            "student",
            f"made of numbers and layers that {file} file can hold",
            context.student,
            f"It cannot hold {', '.join([*texts, *named])}. Export the part "
            "behind them, `keras.Model(numbers, student.output)`, and look "
            "values up before it; or use `export.saved_model`.",
        )
