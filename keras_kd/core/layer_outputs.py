"""What a model's layers return, in the order in which they run."""

from collections.abc import Iterator
from typing import Any
from typing import NamedTuple

import keras

from keras_kd.core.keras_internals import traceable_operations
from keras_kd.core.layer_paths import walk
from keras_kd.core.taps import input_spec
from keras_kd.core.wires import Passage
from keras_kd.core.wires import listening

# Stands for an open size, so that the sizes inside the model can be compared.
OPEN = 256
_LOGITS_TAKEN_BY = ("softmax", "sigmoid", "linear")
_FRAMES = tuple(
    getattr(keras.layers, f"{kind}{axes}D")
    for kind in ("ZeroPadding", "Cropping")
    for axes in (1, 2, 3)
)


class LayerOutput(NamedTuple):
    """The output of a layer.

    Attributes:
        path: The layer's path.
        kind: The name of its class; empty if unknown.
        shape: The shape without the batch axis; open sizes are `OPEN`.
    """

    path: str
    kind: str
    shape: tuple[int, ...]


class Outline(NamedTuple):
    """What can be read from a model.

    Attributes:
        layers: Its layers' outputs, in the order in which they run.
        inputs: The shapes of its inputs, without the batch axis.
    """

    layers: list[LayerOutput]
    inputs: list[tuple[int, ...]]


def outline(model: keras.Model, *, subject: str, role: str) -> Outline:
    """Trace a model once and return what can be read from its layers.

    Left out are layers inside layers that are no models, layers that run
    more than once, return no single tensor of floats, or only add or remove
    a frame, and those that make the model's outputs. Of several layers that
    return the same tensor, such as a nested model and its last layer, the
    first counts.

    Args:
        model: A built Keras model.
        subject: Class or function to name in error messages.
        role: The model's role in error messages.

    Raises:
        ValueError: If the model is not built.
    """
    spec = keras.tree.map_structure(
        lambda leaf: keras.KerasTensor((None, *closed(leaf.shape)), leaf.dtype),
        input_spec(model, subject=subject, role=role),
    )
    trace = _Trace(model)
    with traceable_operations():
        trace.compute_output_spec(spec)
    inputs = [closed(leaf.shape) for leaf in keras.tree.flatten(spec)]
    return Outline(trace.found, inputs)


def closed(shape: Any) -> tuple[int, ...]:
    """Return a shape without the batch axis, and without open sizes."""
    return tuple(OPEN if size is None else size for size in shape[1:])


class _Trace(keras.Layer):
    """Runs a model on symbolic inputs and lists its layers' outputs."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__(autocast=False)
        self.model = model
        self.found: list[LayerOutput] = []

    def call(self, inputs: Any) -> Any:
        paths: dict[int, str] = {}
        layers = list(_outer_layers(self.model))
        for path, layer in layers:
            paths.setdefault(id(layer), path)
        passages: list[Passage] = []
        places = {id(layer): (layer, "call") for _, layer in layers}
        with listening(places.values(), passages.append):
            outputs = self.model(inputs, training=False)
        calls = [id(passage.layer) for passage in passages]
        known = {id(leaf) for leaf in keras.tree.flatten(inputs)}
        known |= _head(outputs, passages)
        self.found = []
        for passage in passages:
            output, layer = passage.output, passage.layer
            if (
                id(output) in known
                or calls.count(id(layer)) > 1
                or isinstance(layer, _FRAMES)
                or not _is_floats(output)
            ):
                continue
            known.add(id(output))
            self.found.append(
                LayerOutput(
                    paths[id(layer)],
                    type(layer).__name__,
                    closed(output.shape),
                )
            )
        return outputs


def _outer_layers(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield the layers of a model and of the models nested in it."""
    models = {""}
    for path, layer in walk(model):
        if path.rpartition("/")[0] in models:
            yield path, layer
            if isinstance(layer, keras.Model):
                models.add(path)


def _head(outputs: Any, passages: list[Passage]) -> set[int]:
    """Return the outputs, and the logits that an activation made them of."""
    head = {id(leaf) for leaf in keras.tree.flatten(outputs)}
    for passage in reversed(passages):
        layer = passage.layer
        last = isinstance(layer, keras.layers.Softmax) or (
            isinstance(layer, keras.layers.Activation)
            and getattr(layer.activation, "__name__", "") in _LOGITS_TAKEN_BY
        )
        if last and id(passage.output) in head:
            head.add(id(passage.inputs[0]))
    return head


def _is_floats(output: Any) -> bool:
    if keras.tree.is_nested(output) or len(getattr(output, "shape", ())) < 2:
        return False
    return "float" in keras.backend.standardize_dtype(output.dtype)
