"""Reads a model's outputs, logits and layers in one forward pass."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import keras

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import show
from keras_kd.core.heads import Head
from keras_kd.core.heads import class_logits
from keras_kd.core.heads import read_head
from keras_kd.core.keras_internals import inputs_structure
from keras_kd.core.keras_internals import traceable_operations
from keras_kd.core.layer_paths import find_layer
from keras_kd.core.layer_paths import walk
from keras_kd.core.output_kinds import KINDS
from keras_kd.core.output_kinds import linear_kind
from keras_kd.core.output_kinds import output_keys
from keras_kd.core.output_kinds import remember
from keras_kd.core.output_kinds import remembered
from keras_kd.core.output_kinds import settle
from keras_kd.core.output_kinds import trained_kinds
from keras_kd.core.wires import Passage
from keras_kd.core.wires import listening

__all__ = ["Tap", "Tapped", "class_logits", "input_spec", "output_kind"]


class Tapped(NamedTuple):
    """The results of one forward pass.

    Attributes:
        predictions: The model's outputs, unchanged.
        logits: In the same structure: class logits `(batch, ..., classes)`
            with at least two classes, or the values of an output of numbers
            or of an embedding; `None` if they were not requested, and for an
            output of unknown kind.
        features: Layer path to that layer's output.
    """

    predictions: Any
    logits: Any
    features: dict[str, Any]


class Tap:
    """Runs a model once and returns predictions, logits and features.

    It works on Functional, Sequential, nested and subclassed models. A
    softmax or sigmoid head is read before its activation, so its logits are
    exact; for probabilities that are reshaped or averaged afterwards, the
    logits are their logarithms. A tap costs one traced forward pass at
    construction and nothing per step.

    Args:
        model: A built Keras model.
        layers: Names or paths (`"backbone/block_3"`) of layers to read.
        output_kind: One of `output_kinds.KINDS`, or a structure of these like
            the model's outputs, if the layers do not tell.
        logits: Whether to return logits.
        subject: Class or function to name in error messages.
        role: The model's role in error messages: `"teacher"`, `"student"`.
        strict: Whether to refuse an output of unknown kind at once. If not,
            call `settle` and `check`.

    Attributes:
        kinds: The kind of each output, in the order of its leaves; `None` if
            it is unknown.
        spec: Symbolic outputs of one call.

    Raises:
        ValueError: If the model is not built, a layer is not in it, or
            logits are requested and the kind of an output is unknown.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_kd.core.taps import Tap
    >>> model = keras.Sequential(
    ...     [keras.Input((3,)), keras.layers.Dense(1, "sigmoid")])
    >>> Tap(model)(np.zeros((5, 3), "float32")).logits.shape[-1]
    2
    """

    def __init__(
        self,
        model: keras.Model,
        layers: Iterable[str] = (),
        output_kind: Any = None,
        *,
        logits: bool = True,
        subject: str = "Distiller",
        role: str = "model",
        strict: bool = True,
    ) -> None:
        self.model = model
        self._subject = subject
        self._role = role
        self._layers = {
            path: find_layer(
                model, path, subject=subject, argument=f"{role}_layer"
            )
            for path in layers
        }
        self._logits = logits
        probe = _Probe(model, self._read_features)
        with traceable_operations():
            predictions, features = probe.compute_output_spec(
                input_spec(model, subject=subject, role=role)
            )
        self._predictions, self._features = predictions, features
        self._heads = self._told(probe.heads, output_kind)
        self.settle()
        if strict and logits:
            self.check()

    def settle(
        self,
        trained_by: Mapping[Any, str | None] | None = None,
        like: Mapping[Any, str | None] | None = None,
    ) -> None:
        """Decide the kinds of outputs that the layers leave open.

        What the layers or `output_kind` say stays. Then counts, in this
        order: `trained_by`, the loss that the model itself was compiled with,
        an earlier decision about the model, and `like`.

        Args:
            trained_by: Kind by the name or index of an output, as a loss
                tells it.
            like: Kind by the name or index of an output of the other model.
        """
        before = dict(zip(self.keys, remembered(self.model), strict=False))
        facts = [
            trained_by or {},
            trained_kinds(self.model, self._predictions),
            before,
            like or {},
        ]
        leaves = keras.tree.flatten(self._predictions)
        heads = [
            settle(
                head,
                leaf.shape[-1],
                [fact.get(key) for fact in facts],
                before.get(key),
            )
            for key, head, leaf in zip(
                self.keys, self._heads, leaves, strict=True
            )
        ]
        self.kinds = [head.kind for head in heads]
        self.spec = Tapped(
            self._predictions,
            self._read_logits(self._predictions, []),
            self._features,
        )
        # Several outputs may share one head.
        sources = {
            (id(head.source[0]), head.source[1]): head.source
            for head in heads
            if self._logits and head.source is not None
        }
        self._places = [(layer, "call") for layer in self._layers.values()]
        self._places += list(sources.values())

    @property
    def keys(self) -> list[Any]:
        """The name or index of each output; `None` for a single one."""
        return output_keys(self._predictions)

    @property
    def kind_by_key(self) -> dict[Any, str | None]:
        """The kind of each output by its name or index."""
        return dict(zip(self.keys, self.kinds, strict=True))

    def check(self, outputs: Iterable[Any] | None = None) -> None:
        """Check that the kinds of outputs are known.

        Args:
            outputs: Names or indices of the outputs; `None` for all.

        Raises:
            ValueError: If one is unknown.
        """
        wanted = self.keys if outputs is None else list(outputs)
        argument = f"{self._role}_output"
        places = zip(self.keys, self._heads, self.kinds, strict=True)
        for key, head, kind in places:
            if kind is not None or key not in wanted:
                continue
            which = "the output" if key is None else f"output {key!r}"
            if head.linear:
                raise ValueError(
                    f"`{self._subject}` cannot tell whether {which} of the "
                    f"{self._role} `{self.model.name}`, one linear unit, is "
                    "the logit of two classes or a number (a regression). Say "
                    f"it with `{argument}='binary_logits'` or "
                    f"`{argument}='numbers'`, or compile the model with its "
                    "loss."
                )
            raise ValueError(
                f"`{self._subject}` cannot tell whether {which} of the "
                f"{self._role} `{self.model.name}` is logits or "
                f"probabilities: it comes from {head.last}. Say it with "
                f"`{argument}='logits'` or `{argument}='probabilities'`; "
                "`'numbers'` is a regression, `'embedding'` a vector."
            )

    def __call__(self, inputs: Any, training: bool = False) -> Tapped:
        """Run the model once.

        Args:
            inputs: What the model takes.
            training: Whether to run it in training mode.
        """
        passages: list[Passage] = []
        with listening(self._places, passages.append):
            predictions = self.model(inputs, training=training)
        return Tapped(
            predictions,
            self._read_logits(predictions, passages),
            self._read_features(passages),
        )

    def _read_logits(self, predictions: Any, passages: list[Passage]) -> Any:
        if not self._logits:
            return None
        leaves = keras.tree.flatten(predictions)
        logits = [
            _leaf_logits(leaf, kind, passages)
            for leaf, kind in zip(leaves, self.kinds, strict=True)
        ]
        return keras.tree.pack_sequence_as(predictions, logits)

    def _read_features(self, passages: list[Passage]) -> dict[str, Any]:
        return {
            path: self._feature(path, layer, passages)
            for path, layer in self._layers.items()
        }

    def _feature(self, path: str, layer: Any, passages: list[Passage]) -> Any:
        outputs = [
            passage.output
            for passage in passages
            if passage.layer is layer and passage.attribute == "call"
        ]
        if len(outputs) != 1:
            raise ValueError(
                f"`{self._subject}` needs `{self._role}_layer` to name a "
                f"layer that runs once in a forward pass of "
                f"`{self.model.name}`. Received: {path!r}, which ran "
                f"{len(outputs)} times. Name a layer before or after it."
            )
        return outputs[0]

    def _told(self, heads: list[Head], output_kind: Any) -> list[Head]:
        """Replace the heads whose kinds the user gave."""
        if output_kind is None:
            return heads
        argument = f"{self._role}_output"
        given = keras.tree.flatten(output_kind)
        given = given * len(heads) if len(given) == 1 else given
        for kind in given:
            check_choice(self._subject, argument, kind, KINDS)
        if len(given) != len(heads):
            raise ValueError(
                f"`{self._subject}` needs `{argument}` to name one kind "
                f"for each of the {len(heads)} outputs of "
                f"`{self.model.name}`. Received: {show(output_kind)}."
            )
        return [
            head._replace(linear=False) if head.kind == kind else Head(kind)
            for head, kind in zip(heads, given, strict=True)
        ]


def carry(
    source: keras.Model, target: keras.Model, *, made_linear: bool = False
) -> keras.Model:
    """Note on a model made from another that their outputs are alike.

    Args:
        source: The model whose outputs are known.
        target: The model that was made from it.
        made_linear: Whether a softmax or sigmoid that `target` does not end
            in was left out of it, so that it gives logits.

    Returns:
        `target`.
    """
    kinds = Tap(source, subject="carry", strict=False).kinds
    if made_linear:
        seen = Tap(target, subject="carry", strict=False).kinds
        kinds = [
            kind if kind is None or kind == own else linear_kind(kind)
            for kind, own in zip(kinds, seen, strict=True)
        ]
    remember(target, kinds)
    return target


def output_kind(model: keras.Model) -> Any:
    """Infer the kind of a model's outputs from its layers and its loss.

    Args:
        model: A built Keras model.

    Returns:
        One of `output_kinds.KINDS`, in the structure of the model's outputs.

    Raises:
        ValueError: If the layers do not tell.
    """
    tap = Tap(model, subject="output_kind")
    return keras.tree.pack_sequence_as(tap.spec.predictions, tap.kinds)


def input_spec(model: keras.Model, *, subject: str, role: str) -> Any:
    """Return the symbolic inputs a built model takes.

    Returns:
        `keras.KerasTensor`s in the structure of the model's inputs, with an
        unknown batch size.

    Raises:
        ValueError: If the model is not built.
    """
    inputs = getattr(model, "inputs", None)
    if inputs:
        return keras.tree.map_structure(
            lambda tensor: keras.KerasTensor(tensor.shape, tensor.dtype),
            inputs_structure(model),
        )
    build_config = model.get_build_config() if model.built else None
    if not build_config:
        raise ValueError(
            f"`{subject}` needs `{role}` to be a built model. Received: "
            f"{role}={show(model)}, which has no input shape yet. Call it "
            "once on a batch, or `build` it with an input shape."
        )
    shapes = build_config.get("input_shape") or build_config["shapes_dict"]
    if isinstance(shapes, dict) and set(shapes) == {"input_shape"}:
        shapes = shapes["input_shape"]
    return keras.tree.map_shape_structure(
        lambda shape: keras.KerasTensor(
            (None, *shape[1:]), model.compute_dtype
        ),
        shapes,
    )


class _Probe(keras.Layer):
    """Runs a model on symbolic inputs and finds the heads of its outputs."""

    def __init__(
        self,
        model: keras.Model,
        read: Callable[[list[Passage]], dict[str, Any]],
    ) -> None:
        super().__init__(autocast=False)
        self.model = model
        self.read = read
        self.heads: list[Head] = []

    def call(self, inputs: Any) -> Any:
        passages: list[Passage] = []
        nodes = [layer for _, layer in walk(self.model)]
        nodes += [
            operation
            for model in [self.model, *nodes]
            for operation in getattr(model, "operations", ())
            if not isinstance(operation, keras.Layer)
        ]
        unique = {id(node): (node, "call") for node in nodes}
        with listening(unique.values(), passages.append):
            outputs = self.model(inputs, training=False)
        self.heads = [
            read_head(leaf, passages) for leaf in keras.tree.flatten(outputs)
        ]
        return outputs, self.read(passages)


def _leaf_logits(leaf: Any, kind: str | None, passages: list[Passage]) -> Any:
    if kind is None:
        return None
    for passage in passages:
        exact = passage.output is leaf and (
            passage.attribute == "activation"
            or isinstance(passage.layer, keras.layers.Softmax)
            or not isinstance(passage.layer, keras.Layer)
        )
        if exact:
            return class_logits(passage.inputs[0], linear_kind(kind))
    return class_logits(leaf, kind)
