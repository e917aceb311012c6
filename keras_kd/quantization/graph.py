"""The student's graph: who makes, who takes, and what runs as one operator."""

from collections.abc import Set
from typing import Any

import keras
from keras import layers

from keras_kd.core.graphs import calls
from keras_kd.quantization.activations import activation_of
from keras_kd.quantization.activations import function_name
from keras_kd.quantization.kinds import is_fused
from keras_kd.quantization.kinds import kind_of
from keras_kd.quantization.kinds import takes_relu


class Graph:
    """One Functional model, its nested ones not entered.

    Args:
        model: A Functional model.
        kept: Ids of operations that stay in float32.

    Attributes:
        kinds: Kind by the id of an operation, see `kind_of`.
        folded: The `BatchNormalization` by the id of the layer that takes it
            in.
        raw: Ids of operations that run in one with the operation before:
            nothing is rounded in between.
    """

    def __init__(self, model: keras.Model, kept: Set[int]) -> None:
        self.nodes = calls(model)
        self.operations: dict[int, Any] = {}
        self.kinds: dict[int, str] = {}
        self._calls: dict[int, list[Any]] = {}
        self._takers: dict[int, int] = {}
        for node in self.nodes:
            key = id(node.operation)
            self.operations[key] = node.operation
            kind = kind_of(node.operation, node.arguments)
            stays = key in kept and kind != "nested"
            self.kinds[key] = "float" if stays else kind
            self._calls.setdefault(key, []).append(node)
            for tensor in node.input_tensors:
                self._count(tensor)
        for tensor in model.outputs:
            self._count(tensor)
        self.folded: dict[int, Any] = {}
        self.raw: set[int] = set()
        for node in self.nodes:
            self._fuse(node)

    def is_inference(self, operation: Any) -> bool:
        """Tell whether a layer is called with `training=False` for good."""
        (node,) = self._calls[id(operation)]
        return node.arguments.kwargs.get("training") is False

    def activation(self, operation: Any) -> str | None:
        """Name the activation that an operation is or ends with."""
        kind = self.kinds.get(id(operation))
        if kind == "kernel":
            return function_name(operation.activation)
        return activation_of(operation) if kind == "activation" else None

    def is_concatenation(self, operation: Any) -> bool:
        """Tell a concatenation that is called once, in int8."""
        key = id(operation)
        is_one = type(operation).__name__ == "Concatenate"
        kind = self.kinds[key]
        return is_one and kind == "arithmetic" and len(self._calls[key]) == 1

    def source(self, tensor: Any) -> Any:
        """Return the operation whose grid a tensor is on.

        Returns:
            An operation of one call, `None` where there is none such.
        """
        while True:
            operation = tensor._keras_history.operation
            calls = self._calls.get(id(operation), [])
            if len(calls) != 1:
                return None
            moving = self.kinds[id(operation)] in ("average", "keep")
            if not moving:
                return operation
            tensor = calls[0].input_tensors[0]

    def _count(self, tensor: Any) -> None:
        self._takers[id(tensor)] = self._takers.get(id(tensor), 0) + 1

    def _fuse(self, node: Any) -> None:
        """Decide whether an operation runs in one with the one before."""
        operation = node.operation
        key, kind = id(operation), self.kinds[id(operation)]
        tensors = node.input_tensors
        if len(self._calls[key]) > 1 or len(tensors) != 1:
            return
        before = tensors[0]._keras_history.operation
        alone = (
            id(before) in self.kinds
            and len(self._calls[id(before)]) == 1
            and self._takers[id(tensors[0])] == 1
        )
        if not alone or not self._takes(before):
            return
        if is_fused(operation, kind):
            self.raw.add(key)
        elif (
            kind == "affine"
            and isinstance(operation, layers.BatchNormalization)
            and self.kinds[id(before)] == "kernel"
            and id(before) not in self.folded
        ):
            self.folded[id(before)] = operation
            self.raw.add(key)

    def _takes(self, before: Any) -> bool:
        kind = self.kinds[id(before)]
        if id(before) in self.raw and kind == "activation":
            return False
        return takes_relu(before, kind)
