"""The private names of Keras that this package relies on.

They are used only here, each in a function with a name of its own;
`tests/core/test_keras_internals.py` says what breaks when a name disappears.
"""

import threading
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

_PATCHING = threading.RLock()
_PATCHED: list[tuple[Any, str, Any]] = []
_USERS: list[object] = []

# The layers of a model.


def flatten_layers(layer: Any, *, include_self: bool = True) -> Iterator[Any]:
    """Yield a layer and all layers nested in it."""
    yield from layer._flatten_layers(include_self=include_self)


def held_layers(layer: Any) -> list[Any]:
    """Return the layers that a layer holds as attributes.

    The public `layers` exists only on models.
    """
    return list(getattr(layer, "_layers", []))


def own_trainable_variables(layer: Any) -> list[Any]:
    """Return a layer's own trainable variables, without inner layers'."""
    return list(layer._trainable_variables)


def causal_padding(convolution: Any) -> Any:
    """Return the input padding of a causal one-dimensional convolution."""
    return convolution._compute_causal_padding()


def takes_training(operation: Any) -> bool:
    """Tell whether a layer's call has the argument `training`."""
    return bool(getattr(operation, "_call_has_training_arg", False))


# The graph of a Functional model.


def origin(tensor: Any) -> tuple[Any, int, int]:
    """Return where a symbolic tensor comes from.

    Returns:
        The operation, the index of its call, and the index of the output.
    """
    operation, node_index, tensor_index = tensor._keras_history
    return operation, node_index, tensor_index


def maker(tensor: Any) -> Any:
    """Return the operation that made a symbolic tensor."""
    return tensor._keras_history.operation


def calls_of(operation: Any) -> list[Any]:
    """Return the nodes of an operation's calls, in order."""
    return operation._inbound_nodes


def consumers(operation: Any) -> list[Any]:
    """Return the nodes that take an operation's outputs."""
    return operation._outbound_nodes


def run_order(model: Any) -> list[Any]:
    """Return the nodes of a Functional model in the order Keras runs them."""
    depths = model._nodes_by_depth
    return [n for depth in sorted(depths, reverse=True) for n in depths[depth]]


def inputs_structure(model: Any) -> Any:
    """Return a model's symbolic inputs, nested as its call takes them."""
    structure = getattr(model, "_inputs_struct", None)
    return model.inputs[0] if structure is None else structure


def outputs_structure(model: Any) -> Any:
    """Return a model's symbolic outputs, nested as its call returns them."""
    return model._outputs_struct


def mask_of(tensor: Any) -> Any:
    """Return a tensor's Keras mask, or `None`.

    Pass the tensor that the layer returned: arithmetic drops the mask.
    """
    return getattr(tensor, "_keras_mask", None)


# What `compile` sets on a model.


def compiled_loss(model: keras.Model) -> Any:
    """Return the loss of labels, predictions and weights, or `None`."""
    return model._compile_loss


def compiled_metrics(model: keras.Model) -> Any:
    """Return the container of the metrics given to `compile`, or `None`."""
    return model._compile_metrics


def loss_tracker(model: keras.Model) -> Any:
    """Return the mean that is logged as `loss`; `None` before `compile`."""
    return getattr(model, "_loss_tracker", None)


def total_loss(
    model: keras.Model, x: Any, y: Any, predictions: Any, sample_weight: Any
) -> Any:
    """Return the compiled loss with all penalties, in inference mode.

    `_compute_loss` also works if a user's `compute_loss` has no argument
    `training`.
    """
    return model._compute_loss(x, y, predictions, sample_weight, training=False)


def flatten_labels(compiled: Any, structure: Any) -> list[Any]:
    """Flatten labels or predictions in the order of the compiled metrics."""
    return list(compiled._flatten_y(structure))


def flat_metrics(compiled: Any) -> list[tuple[Any, Any]]:
    """Return the metrics and the weighted metrics of each output."""
    flat = zip(
        compiled._flat_metrics, compiled._flat_weighted_metrics, strict=True
    )
    return list(flat)


def held_variables(archive: keras.export.ExportArchive) -> Any:
    """Return the object whose attributes an archive saves with its graph."""
    return archive._tf_trackable


def registry_module() -> Any:
    """Return the module whose `GLOBAL_CUSTOM_OBJECTS` maps names to classes."""
    from keras.src.saving import object_registration

    return object_registration


# What stands between a model and its graph.


@contextmanager
def traceable_operations() -> Iterator[None]:
    """Let graphs hold open image sizes, and files a plain `argmax`.

    Keras compares the size of `ops.image.resize` with zero in Python, so
    `UpSampling2D` cannot be traced where heights and widths are open. Its
    `argmax` and `argmin` of floats order -0.0 before 0.0, by operators on
    bits that neither LiteRT nor ONNX has.
    """
    with _PATCHING:
        if not _USERS:
            _PATCHED.extend(_patch())
        _USERS.append(None)
    try:
        yield
    finally:
        with _PATCHING:
            _USERS.pop()
            while not _USERS and _PATCHED:
                module, name, original = _PATCHED.pop()
                setattr(module, name, original)


def _patch() -> Iterator[tuple[Any, str, Any]]:
    """Replace the operations; yield what they replaced."""
    import tensorflow as tf
    from keras.src.backend.tensorflow import numpy as backend
    from keras.src.ops import image

    checked = image.resize

    def resize(images: Any, size: Any, *args: Any, **settings: Any) -> Any:
        is_open = any(tf.is_tensor(part) for part in size)
        run = image._resize if is_open else checked
        return run(images, size, *args, **settings)

    def plain(search: Callable[..., Any]) -> Callable[..., Any]:
        def found(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
            x = tf.convert_to_tensor(x)
            flat = tf.reshape(x, [-1]) if axis is None else x
            places = search(flat, axis=axis or 0, output_type=tf.int32)
            return backend._keepdims(x, places, axis) if keepdims else places

        return found

    for module, name, new in (
        (image, "resize", resize),
        (keras.ops.image, "resize", resize),
        (backend, "argmax", plain(tf.argmax)),
        (backend, "argmin", plain(tf.argmin)),
    ):
        yield module, name, getattr(module, name)
        setattr(module, name, new)
