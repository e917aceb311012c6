"""Lists the calls of a student's graph, with those inside nested models."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from keras_kd.core.graphs import calls
from keras_kd.core.graphs import is_graph
from keras_kd.core.graphs import view
from keras_kd.core.keras_internals import inputs_structure
from keras_kd.core.keras_internals import takes_training


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer or operation.

    The symbolic tensors are the graph's own: the layers of a model that is
    called twice have other tensors in each of its calls.

    Args:
        operation: The layer or operation.
        args: Its arguments.
        kwargs: Its keyword arguments.
        outputs: Its results.
    """

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[keras.KerasTensor]

    @property
    def inputs(self) -> list[keras.KerasTensor]:
        """The tensors among the arguments."""
        return _tensors((self.args, self.kwargs))


class FlatGraph:
    """The calls of a student in the order they run, nested models opened.

    Args:
        model: A Functional or Sequential model.

    Attributes:
        inputs: Its input tensors.
        outputs: Its output tensors.
        calls: All calls but those of nested models.
        names: A name for each operation by its id: its own if no other
            operation has it, otherwise its path, joined by `_`.
        ends: Names of nested models, by the id of the tensor that they return.
    """

    def __init__(self, model: keras.Model) -> None:
        self.calls: list[Call] = []
        self.ends: dict[int, list[str]] = {}
        outer = view(model)
        self.names = _names(outer)
        self.inputs = [_new(tensor) for tensor in outer.inputs]
        self.outputs = self._walk(outer, self.inputs, None)

    def _walk(
        self, model: keras.Model, given: list[Any], training: bool | None
    ) -> list[Any]:
        """Add the calls of a model; return its outputs for given inputs."""
        known = dict(zip(map(id, model.inputs), given, strict=True))
        for node in calls(model):
            args, kwargs = keras.tree.map_structure(
                lambda leaf, known=known: known.get(id(leaf), leaf),
                (node.arguments.args, node.arguments.kwargs),
            )
            operation = node.operation
            inherits = training is not None and takes_training(operation)
            if inherits and kwargs.get("training") is None:
                kwargs["training"] = training
            if is_graph(operation):
                outputs = self._nested(operation, args, kwargs)
            else:
                outputs = [_new(tensor) for tensor in node.output_tensors]
                self.calls.append(Call(operation, args, kwargs, outputs))
            known |= zip(map(id, node.output_tensors), outputs, strict=True)
        return [known[id(tensor)] for tensor in model.outputs]

    def _nested(self, model: Any, args: Any, kwargs: Any) -> list[Any]:
        given = args[0] if args else kwargs["inputs"]
        names_inputs = isinstance(inputs_structure(model), dict)
        if isinstance(given, dict) and not names_inputs:
            given = [given[tensor.name] for tensor in model.inputs]
        inputs = keras.tree.flatten(given)
        outputs = self._walk(view(model), inputs, kwargs.get("training"))
        # With several outputs, or one that is an input, no layer stands for it.
        if len(outputs) == 1 and id(outputs[0]) not in map(id, inputs):
            names = self.ends.setdefault(id(outputs[0]), [])
            names.append(self.names[id(model)])
        return outputs


def _new(tensor: Any) -> keras.KerasTensor:
    return keras.KerasTensor(tensor.shape, tensor.dtype)


def _tensors(arguments: Any) -> list[keras.KerasTensor]:
    leaves = keras.tree.flatten(arguments)
    return [leaf for leaf in leaves if isinstance(leaf, keras.KerasTensor)]


def _names(model: keras.Model) -> dict[int, str]:
    """Return a name for every operation, unique in the whole graph."""
    paths = dict(_paths(model, ""))
    outer = {path for path in paths.values() if "/" not in path}
    last = {key: path.rsplit("/", 1)[-1] for key, path in paths.items()}
    counts = Counter(last.values())
    taken = set(outer)
    names = {}
    for key, path in paths.items():
        name = path
        if "/" in path:
            unique = counts[last[key]] == 1
            name = last[key] if unique else path.replace("/", "_")
            while name in taken:
                name += "_"
            taken.add(name)
        names[key] = name
    return names


def _paths(model: keras.Model, prefix: str) -> Iterator[tuple[int, str]]:
    """Yield id and path of every operation, inputs and nested models too."""
    for operation in view(model).operations:
        if not prefix or not isinstance(operation, keras.layers.InputLayer):
            yield id(operation), f"{prefix}{operation.name}"
        if is_graph(operation):
            yield from _paths(operation, f"{prefix}{operation.name}/")
