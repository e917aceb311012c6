"""Export to TensorFlow's SavedModel format."""

import json
import os
from pathlib import Path
from typing import Any

from keras_kd.core.files import staged
from keras_kd.evaluation.file_kinds import FOLDER_NOTE
from keras_kd.export.context import Context
from keras_kd.export.context import read_context
from keras_kd.export.conversion.trace import write_saved_model
from keras_kd.export.examples import verification_examples
from keras_kd.export.kinds import Demands
from keras_kd.export.verification import Verification
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

    For servers and for TensorFlow's other tools; use `tflite` for devices.
    An older folder at `path` is replaced only after the new one was loaded
    back and its outputs were compared with the student's.

    Args:
        student: A built `keras.Model`, or a `keras_kd.Distiller`, whose
            student is exported.
        path: The folder to write. An existing folder must be empty or a
            SavedModel.
        verify: Data to compare on, in any form that `fit` takes. Defaults to
            256 random inputs from a fixed seed; students that take strings
            need data. With `False` nothing is compared, and `passed` is
            False in the result.
        tolerance: Largest difference, as a share of the range of the
            student's outputs. Defaults to 1e-4 (see `verify`).

    Returns:
        The `Verification` of the folder.

    Raises:
        TypeError: If `student` is not a Keras model.
        ValueError: If `student` is not built or cannot be traced, or if
            `path` exists and is not a SavedModel.
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
        _note_kinds(context, scratch / FOLDER_NOTE)
        return check_file(
            context,
            scratch,
            examples,
            Demands(tolerance),
            target=Path(path),
        )


def _note_kinds(context: Context, path: Path) -> None:
    """Note what the outputs are, which the graph may leave open."""
    path.parent.mkdir()
    note = {"outputs": context.output_kinds}
    path.write_text(json.dumps(note), "utf-8")


def _check_target(context: Context, path: Path) -> None:
    """Refuse to replace anything but a SavedModel or an empty folder."""
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
