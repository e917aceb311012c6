"""Export to TensorFlow's SavedModel format."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_kd.core.files import staged
from keras_kd.export.context import Context
from keras_kd.export.context import read_context
from keras_kd.export.conversion.trace import write_saved_model
from keras_kd.export.examples import verification_examples
from keras_kd.export.kinds import Demands
from keras_kd.export.verify import Verification
from keras_kd.export.verify import check_file
from keras_kd.export.verify import check_tolerance

_SUBJECT = "export.saved_model"


def saved_model(
    student: Any,
    path: str | os.PathLike[str],
    *,
    verify: Any = None,
    tolerance: float | None = None,
) -> Verification:
    """Export a student as a SavedModel folder that is proved to behave alike.

    For servers and for TensorFlow's other tools; `tflite` is for devices.
    The folder gets its name only after it was loaded back and its outputs
    were compared with the student's; until then an older folder of that name
    stays as it is.

    Args:
        student: A built `keras.Model`, or a `keras_kd.Distiller`, whose
            student is exported.
        path: The folder to write. One that exists must be a SavedModel.
        verify: Data to compare on, in any form that `fit` takes. Defaults to
            256 random inputs from a fixed seed. `False` compares nothing,
            which the result says: `passed` is False.
        tolerance: Largest difference, as a share of the range of the
            student's outputs. Defaults to 1e-4 (see `verify`).

    Returns:
        The `Verification` of the folder.

    Raises:
        TypeError: If `student` is not a Keras model.
        ValueError: If it is not built, cannot be traced, or if `path` is
            something else than a SavedModel.
        OSError: If `path` cannot be written to.
        ExportMismatchError: If the folder does not behave like the student.

    Example:
    >>> import keras, keras_kd, tempfile
    >>> student = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> folder = tempfile.mkdtemp() + "/student"
    >>> keras_kd.export.saved_model(student, folder).num_examples
    256
    """
    context = read_context(_SUBJECT, student)
    _check_target(context, Path(path))
    check_tolerance(context, tolerance)
    examples = verification_examples(context, verify)
    with staged(path) as scratch:
        write_saved_model(context, scratch, context.signature, None)
        result = check_file(context, scratch, examples, Demands(tolerance))
    return replace(result, path=str(path))


def _check_target(context: Context, path: Path) -> None:
    """Refuse to replace what is not a SavedModel."""
    replaceable = not path.exists() or (
        path.is_dir()
        and ((path / "saved_model.pb").exists() or not any(path.iterdir()))
    )
    if not replaceable:
        raise context.refusal(
            "path",
            "a new folder or an older SavedModel",
            str(path),
            "Choose another name; nothing was replaced.",
        )
