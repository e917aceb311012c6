"""Tells which layers of a file lose most by rounding."""

import os
from pathlib import Path
from typing import Any

from keras_kd.core.checks import requirement
from keras_kd.export.context import read_context
from keras_kd.export.examples import collect
from keras_kd.export.kinds import KINDS
from keras_kd.export.layer_errors import LayerError
from keras_kd.export.layer_errors import worst_layers
from keras_kd.export.opened import open_file

_SUBJECT = "export.rounding"
_NUM_EXAMPLES = 32


def rounding(
    path: str | os.PathLike[str],
    student: Any,
    dataset: Any,
    *,
    preprocess: Any = None,
) -> list[LayerError]:
    """Name the layers of a `.tflite` file that lose most by rounding.

    Use it when an int8 file is less accurate than its student, to see which
    layers to make wider, or to leave in floats. The student is converted once
    more, to float32, and both files run on the first 32 examples; that takes
    some seconds.

    Args:
        path: A `.tflite` file with rounded weights or activations.
        student: The model that the file was made from.
        dataset: Inputs of the file, in any form that `fit` takes.
        preprocess: The layers that were put in front of the student (see
            `tflite`).

    Returns:
        At most three layers, the worst first. `error` is the root mean square
        difference from the float file, as a share of the spread of the
        layer's values; `added` is what the layer adds to its inputs' error.

    Raises:
        ValueError: If the file is missing, damaged or of a kind that does not
            round, or the data does not fit the student.
        RuntimeError: If the converter fails.

    Example:
    >>> import keras, keras_kd, numpy as np
    >>> student = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> try:
    ...     keras_kd.export.rounding("gone.tflite", student, np.eye(3))
    ... except ValueError as error:
    ...     print(str(error).count("gone.tflite"))
    1
    """
    context = read_context(_SUBJECT, student, preprocess=preprocess)
    kind = open_file(Path(path), _SUBJECT).kind
    if not KINDS[kind].rounds:
        raise ValueError(
            requirement(
                _SUBJECT,
                "path",
                "a `.tflite` file that rounds, such as int8",
                f"{path}, of kind {kind}",
            )
        )
    examples = collect(context, dataset, _NUM_EXAMPLES, "dataset")
    return worst_layers(context, Path(path), examples)
