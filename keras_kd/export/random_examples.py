"""Makes inputs for a file where the user gives none."""

import keras
import numpy as np

from keras_kd.core.keras_internals import flatten_layers
from keras_kd.export.context import Context
from keras_kd.export.lookups import string_inputs

# Size of open axes (text length, image size) in random inputs.
_OPEN_SIZE = 32


def random_examples(context: Context, count: int) -> dict[str, np.ndarray]:
    """Make inputs of a file's shapes and types from a fixed seed.

    Floats are uniform in [0, 1). Bytes are uniform in 0 to 255, unless the
    student has `Embedding` layers: then all integers are below the smallest
    vocabulary. Other integers are 0 or 1.

    Raises:
        ValueError: If an input takes strings, or the student refuses such
            integers.
    """
    check_no_strings(context)
    generator = np.random.default_rng(0)
    sizes = [
        layer.input_dim
        for layer in flatten_layers(context.model)
        if isinstance(layer, keras.layers.Embedding)
    ]
    specs = context.signature.specs
    # A subclassed model has no Input, so its indices count as float32.
    indices = sizes and all("float" in spec.dtype for spec in specs)
    arrays: dict[str, np.ndarray] = {}
    for spec in specs:
        shape = [count, *(size or _OPEN_SIZE for size in spec.shape[1:])]
        if "float" in spec.dtype and not indices:
            arrays[spec.name] = generator.random(shape)
        elif spec.dtype == "uint8" and not sizes:
            arrays[spec.name] = generator.integers(0, 256, shape)
        else:
            arrays[spec.name] = generator.integers(0, min(sizes or [2]), shape)
    drawn = cast(context, arrays)
    if any("int" in spec.dtype for spec in specs):
        _check_accepted(context, drawn)
    return drawn


def check_no_strings(context: Context) -> None:
    """Refuse to draw strings at random."""
    texts = string_inputs(context)
    if texts:
        raise context.refusal(
            "verify",
            f"a dataset for a student that takes strings (`{texts[0]}`)",
            None,
            "Strings cannot be drawn at random.",
        )


def _check_accepted(context: Context, drawn: dict[str, np.ndarray]) -> None:
    """Refuse to go on with integers that the student does not know."""
    try:
        context.model(context.signature.build(drawn), training=False)
    # A layer may raise anything.
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise context.refusal(
            "verify",
            "a dataset for a student that refuses random integers",
            None,
            f"Keras says: {reason}",
        ) from error


def cast(
    context: Context, arrays: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Cast inputs to the types that the student's files take."""
    return {
        spec.name: arrays[spec.name]
        if spec.dtype == "string"
        else arrays[spec.name].astype(
            "float32" if "float" in spec.dtype else spec.dtype
        )
        for spec in context.signature.specs
    }
