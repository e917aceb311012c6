"""Proof that an exported file behaves like the student it was made from."""

import os
from pathlib import Path
from typing import Any

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import check_number
from keras_kd.export.check_file import check_file
from keras_kd.export.check_file import check_tolerance
from keras_kd.export.context import read_context
from keras_kd.export.examples import NUM_EXAMPLES
from keras_kd.export.kinds import Demands
from keras_kd.export.verification import Verification

_SUBJECT = "export.verify"


def verify(
    path: str | os.PathLike[str],
    student: Any,
    dataset: Any,
    *,
    tolerance: float | None = None,
    max_accuracy_loss: float | None = None,
    num_examples: int | None = NUM_EXAMPLES,
    preprocess: Any = None,
) -> Verification:
    """Compare an exported file with the student it was made from.

    Runs both on the same examples. A file passes when

        max |file - student| <= tolerance * range + step

    over all examples and outputs, with the range of the student's values
    and the quantization step of an integer output (0 for real numbers; at
    most an eighth of the range). By
    default the tolerance is 1e-4 for SavedModel, ONNX and float32, 1e-2 for
    float16, 0.1 for dynamic_range and int16x8, 0.2 for int8 and 0.4 for
    int4_weights; 0.05 for the int8 file of a quantize-aware student, which
    computes the same; at least 0.05 for a student that computes in float16 or
    bfloat16. With these defaults, files that round to so few bits must also
    pick the student's class on 80 % of the data. Where such a file does not
    pass, the student is converted once more, to float32, and the error names
    the layers that lose most; that takes some seconds.

    Args:
        path: A SavedModel folder, a `.tflite` or an `.onnx` file.
        student: The model that it was made from.
        dataset: Data in any form that `fit` takes: what the file takes.
            Where there are labels (class numbers or one-hot), the accuracies
            of both are reported.
        tolerance: Share of the range, above 0. Replaces the default, and
            the share of equal classes is then only reported.
        max_accuracy_loss: Most accuracy that the file may lose on the
            labelled data, as 0.01 for one point. `None`, the default, only
            reports it.
        num_examples: Most examples to compare; `None` for all. Defaults to
            256.
        preprocess: The layers that were put in front of the student (see
            `tflite`).

    Returns:
        The `Verification`, passed.

    Raises:
        ValueError: If the file is missing or damaged, or the data does not
            fit the student.
        ExportMismatchError: If the file does not pass; the error's
            `verification` has the numbers.

    Example:
    >>> import keras, keras_kd, numpy as np, tempfile
    >>> student = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> folder = tempfile.mkdtemp() + "/student"
    >>> _ = keras_kd.export.saved_model(student, folder, verify=False)
    >>> x = np.ones((8, 3), "float32")
    >>> keras_kd.export.verify(folder, student, x).agreement
    1.0
    """
    if num_examples is not None:
        check_integer(_SUBJECT, "num_examples", num_examples, low=1)
    if max_accuracy_loss is not None:
        name = "max_accuracy_loss"
        check_number(_SUBJECT, name, max_accuracy_loss, low=0, high=1)
    context = read_context(_SUBJECT, student, preprocess=preprocess)
    check_tolerance(context, tolerance)
    return check_file(
        context,
        Path(path),
        dataset,
        Demands(tolerance, max_accuracy_loss),
        num_examples=num_examples,
    )
