"""Calls a teacher's graph again with new layers."""

from typing import Any

import keras

from keras_kd.core.checks import requirement
from keras_kd.core.graphs import is_graph
from keras_kd.core.graphs import view
from keras_kd.core.keras_internals import maker
from keras_kd.students.shrinking.composite import is_composite
from keras_kd.students.shrinking.inherit import inherit
from keras_kd.students.shrinking.recipe import Plan
from keras_kd.students.shrinking.recipe import remade


class Replay:
    """Calls the teacher's graph again, with layers made as planned.

    Args:
        teacher: A Functional or Sequential model.
        plan: What happens to its layers.
    """

    def __init__(self, teacher: keras.Model, plan: Plan) -> None:
        self._teacher = teacher
        self._plan = plan
        self._made: dict[int, Any] = {}
        self._sources: list[tuple[Any, Any]] = []

    def model(
        self,
        source: keras.Model,
        shapes: list[tuple] | None = None,
        name: str | None = None,
    ) -> keras.Model:
        """Rebuild a model, with its own input shapes or with given ones."""
        # A view on the same tensors is not compiled, so the clone does not get
        # the teacher's loss, which may expect probabilities.
        replayed = view(source, name)
        inputs = []
        for index, tensor in enumerate(replayed.inputs):
            config = maker(tensor).get_config()
            if shapes is not None:
                config["batch_shape"] = shapes[index]
            inputs.append(keras.layers.InputLayer.from_config(config).output)
        return keras.models.clone_model(
            replayed,
            input_tensors=keras.tree.pack_sequence_as(replayed.input, inputs),
            clone_function=lambda operation: operation,
            call_function=self._call,
        )

    def _call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        """Call an operation's counterpart, which is made at the first call."""
        tensors = [
            leaf
            for leaf in keras.tree.flatten((args, kwargs))
            if isinstance(leaf, keras.KerasTensor)
        ]
        if id(operation) in self._plan.passed_over:
            return tensors[self._plan.passed_over[id(operation)]]
        if kwargs.get("training") is False:
            del kwargs["training"]
        if id(operation) in self._plan.to_logits and len(tensors) == 1:
            # A Softmax layer takes a mask; its linear replacement does not.
            kwargs.pop("mask", None)
        clone = self._made.get(id(operation))
        if is_graph(operation):
            if clone is None:
                clone = self.model(operation, [t.shape for t in tensors])
                self._made[id(operation)] = clone
            return clone(*args, **kwargs)
        try:
            if clone is None:
                shapes = [tuple(tensor.shape[1:]) for tensor in tensors]
                clone = remade(operation, shapes, self._plan)
                self._made[id(operation)] = clone
                self._sources.append((operation, clone))
            outputs = clone(*args, **kwargs)
            if is_composite(operation) and not self._plan.rule(operation):
                _check_inside(operation, clone, (args, kwargs), outputs)
        except Exception as error:
            raise self._refusal(operation, error) from error
        return outputs

    def _refusal(self, operation: Any, error: Exception) -> ValueError:
        """Return the error that names the layer and says what to do."""
        kind = type(operation).__name__
        reason = " ".join(str(error).replace("\x1b[1m", "").split())
        return ValueError(
            requirement(
                "students.shrink",
                "teacher",
                "made of layers that can be narrowed one by one",
                self._teacher,
                f"The layer `{operation.name}` ({kind}) cannot: "
                f"{reason[:300].rstrip('.')}. Say how with rules="
                f"{{{kind}: function}}, write the student by hand, or take a "
                "family such as `keras_kd.students.convnet`.",
            )
        )

    def inherit(self) -> None:
        """Copy the kept part of the teacher's weights to the new layers.

        A head whose number of units changed keeps its random weights, and so
        does a layer that a rule gave weights of another shape.
        """
        plan, widths = self._plan, self._plan.widths
        for operation, clone in self._sources:
            weights = getattr(operation, "weights", [])
            shapes = [
                [tuple(weight.shape) for weight in layer_weights]
                for layer_weights in (weights, getattr(clone, "weights", []))
            ]
            if shapes[0] == shapes[1]:
                if weights:
                    clone.set_weights(operation.get_weights())
                continue
            new_head = id(operation) in plan.heads and plan.head_units
            if new_head or plan.rule(operation) or widths is None:
                continue
            # A layer that only removed blocks used is not part of the student.
            if widths.followed(id(operation)):
                inherit(operation, clone, widths)


def _check_inside(
    operation: Any, clone: Any, call: tuple[Any, Any], outputs: Any
) -> None:
    """Check the inside of a layer that holds others.

    `compute_output_shape` of such a layer may promise a shape that its `call`
    does not produce.

    Args:
        operation: The teacher's layer.
        clone: The student's layer.
        call: Positional and keyword arguments of the call.
        outputs: Symbolic results of that call.

    Raises:
        ValueError: If `clone` has other weights than `operation`, or `call`
            computes another shape than that of `outputs`.
    """
    parts = [
        [(weight.name, len(weight.shape)) for weight in layer.weights]
        for layer in (operation, clone)
    ]
    if parts[0] != parts[1]:
        raise ValueError(
            f"made again from its config it has {len(parts[1])} weights, "
            f"not {len(parts[0])}"
        )
    traced = keras.Operation.compute_output_spec(clone, *call[0], **call[1])
    for found, told in zip(
        keras.tree.flatten(traced), keras.tree.flatten(outputs), strict=True
    ):
        if found.shape[-1] != told.shape[-1]:
            raise ValueError(
                f"it gives shape {tuple(found.shape)} where it says "
                f"{tuple(told.shape)}"
            )
