"""Models whose graph of layers is known: Functional and Sequential."""

from typing import Any

import keras

from keras_kd.core.keras_internals import run_order


def is_graph(model: Any) -> bool:
    """Tell whether a model's layers and their order are known."""
    known = isinstance(model, (keras.Sequential, keras.Function))
    # A user's own class may do anything in its `call`.
    return known and type(model).call.__module__.startswith("keras.")


def view(model: keras.Model, name: str | None = None) -> keras.Model:
    """Return an uncompiled Functional model on the same tensors."""
    if isinstance(model, keras.Sequential):
        inputs, outputs = model.inputs[0], model.outputs[0]
    else:
        inputs, outputs = model.input, model.output
    return keras.Model(inputs, outputs, name=name or model.name)


def calls(model: keras.Model) -> list[Any]:
    """Return the calls of a Functional model in the order they run."""
    return [node for node in run_order(model) if not node.is_input]
