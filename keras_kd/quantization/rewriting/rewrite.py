"""Rebuilds a model with simulated int8 arithmetic."""

from collections import Counter
from collections.abc import Set
from dataclasses import dataclass
from dataclasses import replace
from typing import Any

import keras
from keras import layers

from keras_kd.core.graphs import view
from keras_kd.core.keras_internals import maker
from keras_kd.quantization.activations import FIXED
from keras_kd.quantization.activations import FUSED
from keras_kd.quantization.activations import NOT_NEGATIVE
from keras_kd.quantization.layers.affine import Affine
from keras_kd.quantization.layers.fake_quantize import FakeQuantize
from keras_kd.quantization.layers.fake_quantize import FixedRange
from keras_kd.quantization.layers.fake_quantize import LearnedStep
from keras_kd.quantization.layers.fake_quantize import MovingRange
from keras_kd.quantization.layers.neighbours import call_number
from keras_kd.quantization.layers.weighted import QuantizedKernel
from keras_kd.quantization.layers.weightless import PAIRWISE
from keras_kd.quantization.layers.weightless import RoundsAsFile
from keras_kd.quantization.rewriting.ends import FloatEnd
from keras_kd.quantization.rewriting.flat import Call
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
        is_input: Whether it is an input of the student, maybe augmented.
        is_output: Whether it is an output of the student.
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
    is_input: bool = False
    is_output: bool = False


class _Tensors:
    """The tensors of one new model and the layers that round them.

    Args:
        scheme: How to quantize.
    """

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme
        self._known: dict[int, _Known] = {}
        self._shared: dict[int, FakeQuantize] = {}
        self._named: Counter[str] = Counter()

    def note(self, tensor: Any, name: str, **facts: Any) -> _Known:
        """Record what is known about a tensor."""
        known = _Known(tensor, name, **facts)
        self._known[id(tensor)] = known
        return known

    def copied(self, known: _Known, tensor: Any) -> Any:
        """Note the same facts about another tensor, which is returned."""
        copy = replace(known, tensor=tensor, rounded=None)
        self._known[id(tensor)] = copy
        return tensor

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
        found = self._named[known.name]
        self._named[known.name] += 1
        scheme = self._scheme
        arguments: dict[str, Any] = {
            "name": f"{known.name}_quantized" + (f"_{found}" if found else ""),
            "delay": scheme.delay,
            "count": slot.count if slot else 1,
            "data": known.is_input,
            "runtime": scheme.runtime,
        }
        if known.fixed and not slot:
            return FixedRange(*known.fixed, **arguments)
        # The ranges of inputs and outputs follow the data and are not trained.
        if scheme.learned and not (known.is_input or known.is_output):
            signed = slot.negative if slot else known.negative
            return LearnedStep(signed, **arguments)
        return MovingRange(scheme.momentum, **arguments)


class Rewriter:
    """Replays a student's graph with layers that simulate int8.

    Args:
        student: A Functional or Sequential model.
        scheme: How to quantize.
        kept: Ids of operations that stay in float32, see `first_and_last`.

    Attributes:
        left_float: Names of the layers that int8 does not have.
        real_inputs: Names of the inputs that are not rounded.
    """

    def __init__(
        self, student: keras.Model, scheme: Scheme, kept: Set[int]
    ) -> None:
        self.left_float: list[str] = []
        self.real_inputs: list[str] = []
        self._student = view(student)
        self._scheme = scheme
        self._kept = kept
        self._graph = StudentGraph(student, kept)
        self._slots = shared_grids(self._graph)
        self._tensors = _Tensors(scheme)
        self._made: dict[Any, Any] = {}

    def model(self) -> keras.Model:
        """Rebuild the student and copy its weights."""
        graph, new = self._graph, {}
        inputs = []
        for tensor, token in zip(
            self._student.inputs, graph.inputs, strict=True
        ):
            config = maker(tensor).get_config()
            made = layers.InputLayer.from_config(config).output
            self._tensors.note(made, config["name"], is_input=True)
            inputs.append(made)
            new[id(token)] = made
        for call in graph.calls:
            args, kwargs = keras.tree.map_structure(
                lambda leaf: new.get(id(leaf), leaf), (call.args, call.kwargs)
            )
            outputs = keras.tree.flatten(self._call(call, args, kwargs))
            for token, made in zip(call.outputs, outputs, strict=True):
                new[id(token)] = self._named_end(token, made)
        outputs = [self._as_output(new[id(token)]) for token in graph.outputs]
        return keras.Model(
            keras.tree.pack_sequence_as(self._student.input, inputs),
            keras.tree.pack_sequence_as(self._student.output, outputs),
            name=self._student.name,
        )

    def _call(self, call: Call, args: Any, kwargs: Any) -> Any:
        """Call an operation's new layer on rounded inputs."""
        operation = call.operation
        kind, name = self._graph.kinds[id(operation)], self._name(operation)
        if self._graph.is_concatenation(operation):
            args = self._joined(call, args)
        elif id(operation) not in self._graph.raw:
            args, kwargs = keras.tree.map_structure(
                lambda leaf: self._ready(leaf, kind), (args, kwargs)
            )
        leaves = map(self._tensors.known, keras.tree.flatten((args, kwargs)))
        known = [leaf for leaf in leaves if leaf is not None]
        layer, is_new = self._layer(call, kind)
        tensors = [fact.tensor for fact in known]
        args, kwargs = _arguments(layer, kind, tensors, (args, kwargs))
        outputs = layer(*args, **kwargs)
        if is_new:
            copy_weights(operation, layer, self._graph)
        activation = self._graph.activation(operation)
        if kind == "kernel" and activation not in FUSED:
            return self._split(call, outputs, str(activation))
        if kind == "average" and known[0].quantizer is not None:
            quantizer = known[0].quantizer
            outputs = quantizer(outputs, averaged=True)
            self._tensors.note(outputs, name, on_grid=True, quantizer=quantizer)
            return outputs
        if kind == "augment":
            # What follows rounds the augmented images, as a caller would.
            return self._tensors.copied(known[0], outputs)
        facts = self._facts(call, kind, known)
        for leaf in keras.tree.flatten(outputs):
            self._tensors.note(leaf, name, **facts)
        return outputs

    def _name(self, operation: Any) -> str:
        return self._graph.names[id(operation)]

    def _named_end(self, token: Any, made: Any) -> Any:
        """Return the result of nested models, under the names of these."""
        for name in self._graph.ends.get(id(token), ()):
            layer = self._made.setdefault(name, layers.Identity(name=name))
            made = self._tensors.copied(self._tensors.of(made), layer(made))
        return made

    def _as_output(self, tensor: Any) -> Any:
        """Return the tensor as an output of the model, rounded as in the file.

        The student's softmax or sigmoid outputs are not rounded: the device
        rounds them to 1/256 anyway, and losses read the logits before them.
        """
        known = self._tensors.of(tensor)
        known.is_output = True
        if self._kept:
            return self._marked(known)
        return tensor if known.fixed else self._tensors.rounded(known)

    def _ready(self, leaf: Any, kind: str) -> Any:
        """Return an input of an operation, rounded if it has to be."""
        known = self._tensors.known(leaf)
        if known is None or kind == "augment":
            return leaf
        if kind == "float" and "float" in str(leaf.dtype):
            if known.is_float:
                return leaf
            if known.is_input and not known.on_grid:
                return self._marked(known)
        return self._tensors.rounded(known)

    def _joined(self, call: Call, args: Any) -> Any:
        """Return the inputs of a concatenation on their shared grid."""
        joined = []
        for place, tensor in enumerate(keras.tree.flatten(args)):
            known = self._tensors.of(tensor)
            slot = self._slots.get((call, place))
            if not known.is_float:
                known = self._tensors.of(self._tensors.rounded(known))
            joined.append(self._tensors.joined(known, slot))
        return (joined,)

    def _marked(self, known: _Known) -> Any:
        """Return an input or output of the student that is not rounded."""
        name = f"{known.name}_float"
        if name not in self._made:
            self._made[name] = FloatEnd(name=name)
            if known.is_input:
                self.real_inputs.append(known.name)
        return self._made[name](known.tensor)

    def _split(self, call: Call, outputs: Any, activation: str) -> Any:
        """Round a layer's result, then apply its activation."""
        name = self._name(call.operation)
        rounded = self._tensors.rounded(
            self._tensors.note(outputs, f"{name}_linear")
        )
        # One activation layer for every call.
        if name not in self._made:
            self._made[name] = activation_layer(activation, name)
        layer = self._made[name]
        numbered = isinstance(layer, RoundsAsFile)
        result = layer(rounded, **(call_number(layer) if numbered else {}))
        self._tensors.note(
            result,
            name,
            fixed=FIXED.get(activation),
            negative=activation not in NOT_NEGATIVE,
            slot=self._slots.get(call),
        )
        return result

    def _layer(self, call: Call, kind: str) -> tuple[Any, bool]:
        """Return an operation's new layer, and whether it was made just now."""
        key = id(call.operation)
        if key in self._made:
            return self._made[key], False
        if kind == "float" and key not in self._kept and _gives_floats(call):
            self.left_float.append(self._name(call.operation))
        self._made[key] = remade(call, self._graph, self._scheme)
        return self._made[key], True

    def _facts(self, call: Call, kind: str, known: list[_Known]) -> dict:
        """Return what is known about the result of an operation."""
        if kind == "float":
            return {"is_float": True}
        if kind == "embedding":
            return {"on_grid": True}
        operation = call.operation
        activation = self._graph.activation(operation)
        negative = activation not in NOT_NEGATIVE
        if kind in _SIGN_KEEPING and type(operation).__name__ != "Subtract":
            negative = any(fact.negative for fact in known)
        slot = self._slots.get(call)
        facts: dict[str, Any] = {"negative": negative, "slot": slot}
        stays = kind == "keep" or self._graph.is_concatenation(operation)
        if stays and known and known[0].on_grid:
            facts |= {"on_grid": True, "quantizer": known[0].quantizer}
        if activation in FIXED:
            facts["fixed"] = FIXED[activation]
        return facts


def _arguments(
    layer: Any, kind: str, tensors: list[Any], given: tuple[Any, Any]
) -> tuple[Any, Any]:
    """Return what a new layer is called with.

    Args:
        layer: The new layer.
        kind: Kind of the operation that it replaces.
        tensors: The tensors among the operation's arguments.
        given: The operation's arguments and keyword arguments.
    """
    args, kwargs = given
    if isinstance(layer, tuple(PAIRWISE.values())):
        args, kwargs = (tensors,), {}
    elif kind == "constant":
        args, kwargs = (tensors[0],), {}
    elif type(layer) is layers.Identity:
        # It replaces a normalization, which takes `mask` and `training`.
        kwargs = {}
    if isinstance(layer, (Affine, QuantizedKernel, RoundsAsFile)):
        kwargs = kwargs | call_number(layer)
    return args, kwargs


def _gives_floats(call: Call) -> bool:
    return any("float" in str(tensor.dtype) for tensor in call.outputs)
