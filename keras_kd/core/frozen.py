"""Runs models inside a larger graph with their weights as constants.

TensorFlow computes what depends on constants alone once, before the first
step: it folds an inference `BatchNormalization`, which Keras runs as separate
multiplications, into the convolution before it, and fuses the rest.
"""

import logging
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

from keras_kd.core.tensorflow_internals import freeze

_LOGGER = logging.getLogger("keras_kd")
# TensorFlow copies constants often: 90 MB of weights took 2 GB at the peak.
MOST_BYTES = 2**25
_READS = {"ReadVariableOp", "ResourceGather", "ResourceGatherNd"}
# AutoGraph would rewrite code that traces nothing, and warn where it cannot.
_as_it_is = tf.autograph.experimental.do_not_convert
_HOST = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


class Frozen:
    """A function of models that runs with their weights as constants.

    It replaces the function where a graph is traced, and keeps the values
    that the weights had then, so that `changed` can tell when that graph is
    out of date. These share memory with the weights until the weights change.
    Where constants are impossible, or of no use as in eager execution, it
    calls the function itself, and logs why once.

    Args:
        function: Takes one structure of tensors and returns another, whose
            leaves may be `None`. It has to be a pure function of them and of
            the models' weights.
        models: The models that it runs.

    Example:
    >>> import keras
    >>> import tensorflow as tf
    >>> from keras_kd.core.frozen import Frozen
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> frozen = Frozen(model, [model])
    >>> print(tf.function(lambda x: frozen(x))(tf.ones((3, 2))).shape)
    (3, 1)
    """

    def __init__(
        self, function: Callable[[Any], Any], models: Iterable[keras.Model]
    ) -> None:
        self._function = function
        self._models = list(models)
        self._seen: list[tuple[tf.Variable, tf.Tensor]] = []
        self._refused = not self._models

    def __call__(self, inputs: Any) -> Any:
        """Return what the function returns, traced with constants."""
        if self._refused or tf.executing_eagerly():
            return self._function(inputs)
        try:
            return self._traced(inputs)
        except Exception as error:
            # What is wrong with the function itself, its own call says.
            outputs = self._function(inputs)
            self.refuse(" ".join(str(error).split())[:300])
            return outputs

    def changed(self) -> bool:
        """Tell whether weights have changed since they became constants.

        It costs one pass over the weights.
        """
        return not all(
            tf.reduce_all(tf.equal(variable, value))
            for variable, value in self._seen
        )

    def forget(self) -> None:
        """Forget the values; call it when no graph of them is used any more."""
        self._seen = []

    @_as_it_is
    def refuse(self, reason: str) -> None:
        """Run the function itself from now on, and log why."""
        self._refused = True
        self._seen = []
        names = ", ".join(f"`{model.name}`" for model in self._models)
        _LOGGER.info(
            "%s runs as it is in each step, without its weights as constants, "
            "which would be faster: %s.",
            names,
            reason.rstrip("."),
        )

    def _traced(self, inputs: Any) -> Any:
        leaves = keras.tree.flatten(inputs)
        found: list[Any] = []

        @tf.function
        def forward(*given: Any) -> list[Any]:
            found.append(
                self._function(keras.tree.pack_sequence_as(inputs, given))
            )
            return [
                leaf for leaf in keras.tree.flatten(found[-1]) if _is_set(leaf)
            ]

        with tf.init_scope():
            traced = forward.get_concrete_function(
                *[tf.TensorSpec.from_tensor(leaf) for leaf in leaves]
            )
            frozen = _frozen(traced)
            if not self._seen:
                self._seen = [
                    (variable, tf.convert_to_tensor(variable))
                    for variable in traced.graph.variables
                ]
        results = frozen(*leaves)
        for result, output in zip(results, traced.outputs, strict=True):
            result.set_shape(output.shape)  # Freezing forgets some.
        each = iter(results)
        return keras.tree.map_structure(
            lambda leaf: next(each) if _is_set(leaf) else None, found[-1]
        )


def _is_set(leaf: Any) -> bool:
    return leaf is not None


@_as_it_is
def _frozen(traced: Any) -> Any:
    """Return a traced function of its inputs and weights with constants.

    Raises:
        ValueError: If it holds state, leaves the graph, calls functions, as
            loops do, or has too many weights.
    """
    for operation in traced.graph.get_operations():
        definition = operation.op_def
        calls = any(attr.type == "func" for attr in definition.attr)
        state = definition.is_stateful and operation.type not in _READS
        if calls or state or operation.type in _HOST:
            raise ValueError(f"its graph has the operation {operation.type}")
    variables = traced.graph.variables
    handles = {id(variable.handle) for variable in variables}
    if any(id(capture) not in handles for capture in traced.captured_inputs):
        raise ValueError("its graph holds tensors besides its weights")
    size = sum(
        variable.shape.num_elements() * variable.dtype.size
        for variable in variables
    )
    if size > MOST_BYTES:
        raise ValueError(
            f"its weights take {size:,} bytes, more than {MOST_BYTES:,}"
        )
    return freeze(traced)
