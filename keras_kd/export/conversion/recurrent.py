"""Recurrent layers in files: no state, no GPU kernels, no loops of integers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from keras_kd.core.keras_internals import flatten_layers
from keras_kd.export.context import Context

# An unrolled LSTM step takes about 12 operators and 5 kB of an int8 file.
_MAX_STEPS = 128


def recurrent_layers(student: keras.Model) -> list[keras.Layer]:
    """Return the recurrent layers that become loops in the file."""
    return [
        layer
        for layer in flatten_layers(student)
        if isinstance(layer, keras.layers.RNN)
        and not getattr(layer, "unroll", False)
    ]


def check_unrollable(context: Context, quantization: str) -> None:
    """Check that the loops of a student can be unrolled.

    The converter crashes when it quantizes a loop.

    Raises:
        ValueError: If the number of steps of a loop is unknown or too large.
    """
    for layer in recurrent_layers(context.student):
        steps = _steps(layer)
        if steps is None or steps > _MAX_STEPS:
            number = "an open number of" if steps is None else steps
            raise context.refusal(
                "quantization",
                f"a float kind for recurrent layers of {number} steps",
                quantization,
                f"The converter crashes on the loop of {layer.name}, and "
                f"only loops of at most {_MAX_STEPS} steps are unrolled. Use "
                "'float16', or give the student's keras.Input a shorter, "
                "fixed length.",
            )


def check_stateless(context: Context) -> None:
    """Check that no layer keeps a state from one call to the next.

    Raises:
        ValueError: If a layer is stateful. The file would have no place for
            the state.
    """
    for layer in flatten_layers(context.model):
        if getattr(layer, "stateful", False) is True:
            raise context.refusal(
                "student",
                "a model without layers that keep a state between calls",
                context.student,
                f"`{layer.name}` has `stateful=True`. Build the student with "
                "`stateful=False`; to stream, make the state an input "
                "(`initial_state=`) and an output (`return_state=True`).",
            )


@contextmanager
def unrolled(student: keras.Model) -> Iterator[None]:
    """Unroll every recurrent layer until the context exits.

    Args:
        student: A built model; unchanged afterwards.
    """
    layers: list[Any] = recurrent_layers(student)
    try:
        for layer in layers:
            layer.unroll = True
        yield
    finally:
        for layer in layers:
            layer.unroll = False


@contextmanager
def portable(model: keras.Model) -> Iterator[None]:
    """Keep the kernels of one GPU vendor out of a trace.

    On a machine with such a GPU, Keras traces LSTM and GRU layers to an
    operator (`CudnnRNNV3`) that no converter and no other machine runs.

    Args:
        model: A built model; unchanged after the context exits.
    """
    before = [
        (layer, layer.use_cudnn)
        for layer in flatten_layers(model)
        if hasattr(layer, "use_cudnn")
    ]
    try:
        for layer, _ in before:
            layer.use_cudnn = False
        yield
    finally:
        for layer, chosen in before:
            layer.use_cudnn = chosen


def _steps(layer: Any) -> int | None:
    """Return the number of steps of a layer, `None` if it is not fixed."""
    shape = (layer.get_build_config() or {}).get("input_shape")
    while shape and isinstance(shape[0], list | tuple):
        shape = shape[0]  # the others belong to initial states
    return shape[1] if shape else None
