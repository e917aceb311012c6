"""Rebuilds a model with simulated int8 arithmetic."""

from collections.abc import Set
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from keras_kd.core.graphs import view
from keras_kd.core.keras_internals import maker
from keras_kd.quantization.activations import FIXED
from keras_kd.quantization.activations import FUSED
from keras_kd.quantization.activations import NOT_NEGATIVE
from keras_kd.quantization.activations import function_name
from keras_kd.quantization.layers.fake_quantize import FakeQuantize
from keras_kd.quantization.layers.fake_quantize import FixedRange
from keras_kd.quantization.layers.fake_quantize import LearnedStep
from keras_kd.quantization.layers.fake_quantize import MovingRange
from keras_kd.quantization.rewriting.ends import FloatEnd
from keras_kd.quantization.rewriting.remake import Scheme
from keras_kd.quantization.rewriting.remake import activation_layer
from keras_kd.quantization.rewriting.remake import copy_weights
from keras_kd.quantization.rewriting.remake import remade
from keras_kd.quantization.rewriting.student_graph import Slot
from keras_kd.quantization.rewriting.student_graph import StudentGraph
from keras_kd.quantization.rewriting.student_graph import shared_grids

# Kinds whose results are not negative if no input is.
_SIGN_KEEPING = {"arithmetic", "average", "keep"}


@dataclass
class _Known:
    """What is known about a tensor of the new model.

    Args:
        tensor: The tensor, held so that its id is not reused.
        name: Name of the operation that made the tensor.
        on_grid: Whether its values are rounded.
        quantizer: The layer that rounded them, if it is in this model.
        is_float: Whether it comes from an operation that stays in float32.
        fixed: The range that the device prescribes, if it does.
        negative: Whether values below 0 may occur.
        slot: Its place on a shared grid, if it is on one.
        rounded: Its rounded copy, once that is made.
        is_end: Whether the tensor is an input or an output of the student.
    """

    tensor: Any
    name: str
    on_grid: bool = False
    quantizer: FakeQuantize | None = None
    is_float: bool = False
    fixed: tuple[float, float] | None = None
    negative: bool = True
    slot: Slot | None = None
    rounded: Any = None
    is_end: bool = False


class _Tensors:
    """The tensors of one new model and the layers that round them.

    Args:
        scheme: How to quantize.
    """

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme
        self._known: dict[int, _Known] = {}
        self._shared: dict[int, FakeQuantize] = {}

    def note(self, tensor: Any, name: str, **facts: Any) -> _Known:
        """Record what is known about a tensor."""
        known = _Known(tensor, name, **facts)
        self._known[id(tensor)] = known
        return known

    def of(self, tensor: Any) -> _Known:
        """Return what is known about a tensor of the model."""
        return self._known[id(tensor)]

    def known(self, tensor: Any) -> _Known | None:
        """Return what is known about a tensor, `None` for any other value."""
        return self._known.get(id(tensor))

    def rounded(self, known: _Known) -> Any:
        """Return a tensor rounded to its grid, the same copy at every call."""
        if known.on_grid or "float" not in str(known.tensor.dtype):
            return known.tensor
        if known.rounded is None:
            if known.slot:
                known.rounded = self._on(known.slot, known)
            else:
                quantizer = self._quantizer(known)
                known.rounded = quantizer(known.tensor)
                self._note_rounded(known.rounded, known, quantizer)
        return known.rounded

    def joined(self, known: _Known, slot: Slot | None) -> Any:
        """Return a tensor on the grid of the concatenation that takes it.

        Args:
            known: The tensor.
            slot: Its place on the concatenation's grid, None if it is on that
                grid already.
        """
        return known.tensor if slot is None else self._on(slot, known)

    def _on(self, slot: Slot, known: _Known) -> Any:
        """Round to a shared grid."""
        if slot.grid not in self._shared:
            self._shared[slot.grid] = self._quantizer(known, slot)
        quantizer = self._shared[slot.grid]
        rounded = quantizer(known.tensor, number=slot.number)
        self._note_rounded(rounded, known, quantizer)
        return rounded

    def _note_rounded(
        self, tensor: Any, known: _Known, quantizer: FakeQuantize
    ) -> None:
        self.note(
            tensor,
            known.name,
            on_grid=True,
            quantizer=quantizer,
            negative=known.negative,
        )

    def _quantizer(
        self, known: _Known, slot: Slot | None = None
    ) -> FakeQuantize:
        """Make the layer that rounds a tensor, or all of a shared grid."""
        found = sum(
            k.name == known.name and k.on_grid for k in self._known.values()
        )
        scheme = self._scheme
        arguments: dict[str, Any] = {
            "name": f"{known.name}_quantized" + (f"_{found}" if found else ""),
            "delay": scheme.delay,
            "count": slot.count if slot else 1,
            "data": isinstance(maker(known.tensor), layers.InputLayer),
        }
        if known.fixed and not slot:
            return FixedRange(*known.fixed, **arguments)
        # The ranges of inputs and outputs follow the data and are not trained.
        if scheme.learned and not known.is_end:
            signed = slot.negative if slot else known.negative
            return LearnedStep(signed, **arguments)
        return MovingRange(scheme.momentum, **arguments)


class Rewriter:
    """Replays a student's graph with layers that simulate int8.

    Args:
        scheme: How to quantize.
        kept: Ids of operations that stay in float32, see `first_and_last`.

    Attributes:
        left_float: Names of the layers that int8 does not have.
    """

    def __init__(self, scheme: Scheme, kept: Set[int]) -> None:
        self.scheme = scheme
        self.kept = kept
        self.left_float: list[str] = []

    def model(self, source: keras.Model, outermost: bool = True) -> keras.Model:
        """Rebuild a model and copy its weights."""
        replayed = view(source)
        replay = _Replay(
            self,
            StudentGraph(replayed, self.kept),
            outermost,
            bool(self.kept) if outermost else id(source) in self.kept,
        )
        real = self.takes_real(source) and not outermost
        inputs = []
        for tensor in replayed.inputs:
            config = maker(tensor).get_config()
            made = layers.InputLayer.from_config(config).output
            replay.tensors.note(
                made,
                config["name"],
                on_grid=not outermost and not real,
                is_float=real,
                is_end=True,
            )
            inputs.append(made)
        clone = keras.models.clone_model(
            replayed,
            input_tensors=keras.tree.pack_sequence_as(replayed.input, inputs),
            clone_function=lambda operation: operation,
            call_function=replay.call,
        )
        outputs = keras.tree.map_structure(replay.as_output, clone.output)
        return keras.Model(clone.input, outputs, name=source.name)

    def takes_real(self, source: keras.Model) -> bool:
        """Tell whether a nested model takes inputs that are not rounded."""
        inputs = view(source).inputs
        return all(id(maker(t)) in self.kept for t in inputs)


class _Replay:
    """The state of rebuilding one model."""

    def __init__(
        self,
        rewriter: Rewriter,
        graph: StudentGraph,
        outer: bool,
        float_end: bool,
    ) -> None:
        self._rewriter = rewriter
        self._scheme = rewriter.scheme
        self._graph = graph
        self._outer = outer
        self._float_end = float_end
        self._slots = shared_grids(graph)
        self.tensors = _Tensors(rewriter.scheme)
        self._made: dict[int, Any] = {}
        self._marks: dict[str, FloatEnd] = {}

    def call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        """Call an operation's new layer on rounded inputs."""
        kind = self._graph.kinds[id(operation)]
        consumer = kind
        if kind == "nested" and self._rewriter.takes_real(operation):
            consumer = "float"
        if self._graph.is_concatenation(operation):
            args = self._joined(operation, args)
        elif id(operation) not in self._graph.raw:
            args, kwargs = keras.tree.map_structure(
                lambda leaf: self._ready(leaf, consumer), (args, kwargs)
            )
        leaves = map(self.tensors.known, keras.tree.flatten((args, kwargs)))
        known = [leaf for leaf in leaves if leaf is not None]
        if kind == "nested":
            return self._nested(operation, args, kwargs)
        layer = self._layer(operation, kind)
        if type(layer) is layers.Identity:
            # It replaces a normalization, which takes `mask` and `training`.
            kwargs = {}
        if kind == "constant":
            args = tuple(a for a in args if self.tensors.known(a))
        outputs = layer(*args, **kwargs)
        copy_weights(operation, layer, self._graph)
        name = operation.name
        if (
            kind == "kernel"
            and function_name(operation.activation) not in FUSED
        ):
            return self._split(operation, outputs)
        if kind == "average" and known[0].quantizer is not None:
            quantizer = known[0].quantizer
            outputs = quantizer(outputs, averaged=True)
            self.tensors.note(outputs, name, on_grid=True, quantizer=quantizer)
            return outputs
        facts = self._facts(operation, kind, known)
        for leaf in keras.tree.flatten(outputs):
            self.tensors.note(leaf, name, **facts)
        return outputs

    def as_output(self, tensor: Any) -> Any:
        """Return the tensor as an output of the model, rounded as in the file.

        The student's softmax or sigmoid outputs are not rounded: the device
        rounds them to 1/256 anyway, and losses read the logits before them.
        """
        known = self.tensors.of(tensor)
        known.is_end = self._outer
        if self._float_end:
            return self._marked(known) if self._outer else tensor
        return (
            tensor
            if known.fixed and self._outer
            else self.tensors.rounded(known)
        )

    def _ready(self, leaf: Any, consumer: str) -> Any:
        """Return an input of an operation, rounded if it has to be."""
        known = self.tensors.known(leaf)
        if known is None:
            return leaf
        made_float = known.is_float or (known.is_end and not known.on_grid)
        if consumer == "float" and made_float:
            return leaf
        return self.tensors.rounded(known)

    def _joined(self, operation: Any, args: Any) -> Any:
        """Return the inputs of a concatenation on their shared grid."""
        joined = []
        for place, tensor in enumerate(keras.tree.flatten(args)):
            known = self.tensors.of(tensor)
            slot = self._slots.get((id(operation), place))
            if not known.is_float:
                known = self.tensors.of(self.tensors.rounded(known))
            joined.append(self.tensors.joined(known, slot))
        return (joined,)

    def _nested(self, operation: Any, args: Any, kwargs: Any) -> Any:
        if id(operation) not in self._made:
            self._made[id(operation)] = self._rewriter.model(operation, False)
        outputs = self._made[id(operation)](*args, **kwargs)
        is_float = id(operation) in self._rewriter.kept
        for leaf in keras.tree.flatten(outputs):
            self.tensors.note(
                leaf, operation.name, on_grid=not is_float, is_float=is_float
            )
        return outputs

    def _marked(self, known: _Known) -> Any:
        name = f"{known.name}_float"
        if name not in self._marks:
            self._marks[name] = FloatEnd(name=name)
        return self._marks[name](known.tensor)

    def _split(self, operation: Any, outputs: Any) -> Any:
        """Round a layer's result, then apply its activation."""
        name = f"{operation.name}_linear"
        rounded = self.tensors.rounded(self.tensors.note(outputs, name))
        activation = function_name(operation.activation)
        # One activation layer for every call. The linear part has the key
        # id(operation).
        key = -id(operation)
        if key not in self._made:
            self._made[key] = activation_layer(activation, operation.name)
        result = self._made[key](rounded)
        self.tensors.note(
            result,
            operation.name,
            fixed=FIXED.get(activation),
            negative=activation not in NOT_NEGATIVE,
            slot=self._slots.get(id(operation)),
        )
        return result

    def _layer(self, operation: Any, kind: str) -> Any:
        """Return the new layer of an operation, the same at every call."""
        key = id(operation)
        if key not in self._made:
            kept = key in self._rewriter.kept
            if kind == "float" and not kept and _gives_floats(operation):
                self._rewriter.left_float.append(operation.name)
            self._made[key] = remade(operation, self._graph, self._scheme)
        return self._made[key]

    def _facts(self, operation: Any, kind: str, known: list[_Known]) -> dict:
        """Return what is known about the result of an operation."""
        if kind == "float":
            return {"is_float": True}
        if kind == "embedding":
            return {"on_grid": True}
        activation = self._graph.activation(operation)
        negative = activation not in NOT_NEGATIVE
        if kind in _SIGN_KEEPING and type(operation).__name__ != "Subtract":
            negative = any(fact.negative for fact in known)
        slot = self._slots.get(id(operation))
        facts: dict[str, Any] = {"negative": negative, "slot": slot}
        stays = kind == "keep" or self._graph.is_concatenation(operation)
        if stays and known and known[0].on_grid:
            facts |= {"on_grid": True, "quantizer": known[0].quantizer}
        if activation in FIXED:
            facts["fixed"] = FIXED[activation]
        return facts


def _gives_floats(operation: Any) -> bool:
    leaves = keras.tree.flatten(operation.output)
    return any("float" in str(leaf.dtype) for leaf in leaves)
