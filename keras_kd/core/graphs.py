"""Models whose layers and their order are known."""

from typing import Any

import keras

from keras_kd.core.keras_internals import run_order


def is_graph(model: Any) -> bool:
    """Tell whether the layers of a model and their order are known."""
    known = isinstance(model, (keras.Sequential, keras.Function))
    # A class of the user's own may do anything in its `call`.
    return known and type(model).call.__module__.startswith("keras.")


def view(model: keras.Model, name: str | None = None) -> keras.Model:
    """Return a Functional model on the same tensors, never compiled."""
    if isinstance(model, keras.Sequential):
        inputs, outputs = model.inputs[0], model.outputs[0]
    else:
        inputs, outputs = model.input, model.output
    return keras.Model(inputs, outputs, name=name or model.name)


def calls(model: keras.Model) -> list[Any]:
    """Return the nodes of a Functional model in the order they are run in."""
    return [node for node in run_order(model) if not node.is_input]
