"""Classifies layers by what they do to channels and widths."""

from typing import Any

import keras

from keras_kd.core.keras_internals import calls_of

# Layers with weights that take their width from their input.
FOLLOWERS = {
    "BatchNormalization",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "GroupNormalization",
    "LayerNormalization",
    "LayerScale",
    "Normalization",
    "PReLU",
    "PositionEmbedding",
    "RMSNormalization",
}
# Operations that compute each entry from the entries at the same position.
ELEMENTWISE = {
    "Add",
    "Average",
    "CustomScaleLayer",  # Addition in InceptionResNetV2.
    "Divide",
    "Maximum",
    "Minimum",
    "Multiply",
    "Subtract",
    "TrueDivide",
}
# Operations that compute each channel from that channel alone, or scale all.
SAME_CHANNELS = ELEMENTWISE | {
    "Abs",
    "Activation",
    "ActivityRegularization",
    "AlphaDropout",
    "Cast",
    "Clip",
    "Dropout",
    "ELU",
    "Elu",
    "Exp",
    "GaussianDropout",
    "GaussianNoise",
    "Gelu",
    "HardSigmoid",
    "HardSilu",
    "Identity",
    "LeakyReLU",
    "LeakyRelu",
    "LogSoftmax",
    "Masking",
    "Negative",
    "Power",
    "ReLU",
    "Relu",
    "Relu6",
    "Rescaling",
    "Rsqrt",
    "Selu",
    "Sigmoid",
    "Silu",
    "Softmax",
    "Softplus",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "Sqrt",
    "Square",
    "StochasticDepth",
    "StopGradient",
    "Tanh",
    "UnitNormalization",
}
# Operations that move pixels, or compute a pixel from those around it.
SPATIAL = {
    f"{name}{rank}D"
    for rank in (1, 2, 3)
    for name in (
        "AveragePooling",
        "Cropping",
        "GlobalAveragePooling",
        "GlobalMaxPooling",
        "MaxPooling",
        "UpSampling",
        "ZeroPadding",
    )
} | {
    "CenterCrop",
    "RandomCrop",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "RepeatVector",
    "Resizing",
}


def inner(operation: Any) -> Any:
    """Return the layer that a TimeDistributed layer applies at each step."""
    wrapped = isinstance(operation, keras.layers.TimeDistributed)
    return operation.layer if wrapped else operation


def is_kind(operation: Any, names: set[str]) -> bool:
    """Tell whether an operation's class or a base class is among names."""
    kinds = type(inner(operation)).__mro__
    return any(kind.__name__ in names for kind in kinds)


def follows_input(operation: Any) -> bool:
    """Tell whether a layer takes its width from its input.

    A layer of an unknown class, such as the user's own normalization, does if
    each of its weights is a vector with one entry per channel and its output
    has the shape of its input.
    """
    if is_kind(operation, FOLLOWERS):
        return True
    weights = getattr(operation, "weights", [])
    nodes = calls_of(operation) if weights else []
    if not nodes or made_width(operation) is not None:
        return False
    node = nodes[0]
    (given, *others), results = node.input_tensors, node.output_tensors
    return (
        not others
        and [tensor.shape for tensor in results] == [given.shape]
        and all(tuple(w.shape) == (given.shape[-1],) for w in weights)
    )


def width_key(operation: Any) -> str | None:
    """Return the config entry that sets a layer's output width, if any."""
    if not isinstance(operation, keras.layers.Layer):
        return None
    if isinstance(operation, keras.layers.Embedding):
        return "output_dim"
    for key in ("filters", "units"):
        if isinstance(getattr(operation, key, None), int):
            return key
    return None


def made_width(operation: Any) -> int | None:
    """Return how many channels a layer makes; None if it follows its input.

    >>> made_width(keras.layers.Bidirectional(keras.layers.GRU(3)))
    6
    """
    own = inner(operation)
    if isinstance(own, keras.layers.Bidirectional):
        own = own.forward_layer
    key = width_key(own)
    return None if key is None else halves(operation) * getattr(own, key)


def halves(operation: Any) -> int:
    """Return 2 if a layer concatenates two directions, otherwise 1."""
    own = inner(operation)
    both = isinstance(own, keras.layers.Bidirectional)
    return 2 if both and own.merge_mode == "concat" else 1


def widened(operation: Any, config: dict, units: int) -> dict[str, Any]:
    """Return the config entries that give a layer this many channels."""
    if not isinstance(operation, keras.layers.Bidirectional):
        return {width_key(operation) or "": units}
    own = width_key(operation.forward_layer) or ""
    change = {own: units // halves(operation)}
    return {
        key: {**config[key], "config": {**config[key]["config"], **change}}
        for key in ("layer", "backward_layer")
        if key in config
    }


def channel_axis(operation: Any) -> int:
    """Return the axis of the channels, not counting the batch."""
    own = inner(operation)
    steps = int(own is not operation)  # The axis of time comes first.
    if hasattr(own, "data_format"):
        return steps if own.data_format == "channels_first" else -1
    axis = getattr(own, "axis", -1)
    axis = axis[-1] if isinstance(axis, (list, tuple)) else axis
    return axis if axis < 0 else axis - 1 + steps


def is_depthwise(operation: Any) -> bool:
    """Tell whether a convolution has one group per input channel."""
    groups = getattr(operation, "groups", 1)
    if groups == 1 or width_key(operation) is None:
        return False
    tensor = keras.tree.flatten(operation.input)[0]
    return tensor.shape[1:][channel_axis(operation)] == groups
