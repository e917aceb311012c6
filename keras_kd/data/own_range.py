"""The range of the pixels that a model's own first layers ask for."""

from typing import Any

import keras
import numpy as np

from keras_kd.core import graphs
from keras_kd.data.ranges import RANGES

# A model that bounds what passes is past its preprocessing.
_BOUNDING = (
    "Activation",
    "BatchNormalization",
    "ReLU",
    "LeakyReLU",
    "PReLU",
    "ELU",
    "Softmax",
    "Relu",
    "Sigmoid",
    "Tanh",
)


def own_range(model: Any) -> str | None:
    """Return the range for which a model preprocesses, if it tells.

    The layers before the first weights, such as `Rescaling`, `Normalization`
    or the arithmetic of `keras.applications.…preprocess_input`, are run on
    images of the values 0 and 255. The range is the one from which they make
    what networks are trained on: 0 to 1, -1 to 1, pixels without their mean,
    or values of about unit variance.

    Returns:
        One of `RANGES`; `None` if nothing is preprocessed or several fit.
    """
    if not graphs.is_graph(model) or len(model.inputs) != 1:
        return None
    shape = model.inputs[0].shape[1:]
    if len(shape) != 3 or model.inputs[0].dtype == "string":
        return None
    size = [side or 64 for side in shape]
    black, white = (
        float(np.median(_front(model, np.full((1, *size), value, "float32"))))
        for value in (0, 255)
    )
    if np.allclose((black, white), (0, 255), atol=1e-3):
        return None
    made = {
        name: (
            black + (white - black) * offset / 255,
            black + (white - black) * (offset + factor) / 255,
        )
        for name, (factor, offset) in RANGES.items()
    }
    usual = ((0, 1), (-1, 1), (0, 255))
    for fits in (
        lambda ends: any(np.allclose(ends, u, atol=0.02) for u in usual),
        lambda ends: _plausible(*ends),
    ):
        found = [name for name, ends in made.items() if fits(ends)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _plausible(low: float, high: float) -> bool:
    span, center = high - low, (high + low) / 2
    usual = 0.9 <= span <= 6 or 150 <= span <= 256
    return usual and abs(center) <= 0.51 * span


def _front(model: Any, value: np.ndarray) -> np.ndarray:
    """Run a model up to its first weights."""
    model = graphs.view(model)
    before = {id(model.inputs[0])}
    for node in graphs.calls(model):
        taken = node.input_tensors
        if not all(id(tensor) in before for tensor in taken):
            continue
        inner = graphs.is_graph(node.operation)
        if not inner and _passes(node.operation):
            before |= {id(tensor) for tensor in node.output_tensors}
            continue
        if taken[0] is not model.inputs[0]:
            run = keras.Model(model.inputs[0], taken[0])
            value = np.asarray(run(value, training=False))
        return _front(node.operation, value) if inner else value
    return value


def _passes(operation: Any) -> bool:
    """Tell whether an operation comes before a network proper."""
    if (
        type(operation).__name__ in _BOUNDING
        or "Pool" in type(operation).__name__
    ):
        return False
    return not getattr(operation, "trainable_weights", [])
