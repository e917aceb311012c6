"""Proof that an exported file behaves like the student it was made from."""

import os
from pathlib import Path
from typing import Any

from keras_kd.core.checks import check_integer
from keras_kd.export.check_file import check_file
from keras_kd.export.examples import NUM_EXAMPLES
from keras_kd.export.signature import exportable
from keras_kd.export.verification import Verification


def verify(
    path: str | os.PathLike[str],
    student: Any,
    dataset: Any,
    *,
    tolerance: float | None = None,
    num_examples: int = NUM_EXAMPLES,
) -> Verification:
    """Compare an exported file with the student it was made from.

    Runs both on the same examples. A file passes when

        max |file - student| <= tolerance * range + step

    over all examples and outputs, with the range of the student's values
    and the quantization step of an 8-bit output (0 for real numbers). By
    default the tolerance is 1e-4 for SavedModel and float32, 1e-2 for
    float16, 0.1 for dynamic_range and 0.2 for int8; at least 0.05 for a
    student that computes in float16 or bfloat16. With these defaults, 8-bit
    files must also pick the student's class on 80 % of the data.

    Args:
        path: A SavedModel folder or a `.tflite` file.
        student: The model that it was made from.
        dataset: Data in any form that `fit` takes; labels are not used.
        tolerance: Share of the range, above 0. Replaces the default, and
            the share of equal classes is then only reported.
        num_examples: Most examples to compare. Defaults to 256.

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
    check_integer("export.verify", "num_examples", num_examples, low=1)
    return check_file(
        Path(path),
        exportable(student),
        dataset,
        tolerance=tolerance,
        num_examples=num_examples,
        subject="export.verify",
    )
