"""A student traced into a SavedModel folder, which nobody has looked at."""

import functools
from pathlib import Path

import keras

from keras_kd.core.checks import requirement
from keras_kd.export.signature import Signature


def write_saved_model(
    student: keras.Model,
    path: Path,
    signature: Signature,
    batch_size: int | None,
    subject: str,
) -> None:
    """Write a SavedModel with the names of `signature`, unchecked.

    Args:
        student: A built model.
        path: The folder.
        signature: Its inputs.
        batch_size: `None` leaves it open.
        subject: Who asks, for the error messages.

    Raises:
        ValueError: If TensorFlow cannot trace the student.
    """
    archive = keras.export.ExportArchive()
    archive.track(student)
    try:
        archive.add_endpoint(
            "serve",
            # Without it, as in `student.export`, the random layers that
            # augment images stay switched on in the file.
            functools.partial(student.__call__, training=False),
            input_signature=signature.tensor_specs(batch_size),
        )
        archive.write_out(str(path), verbose=False)
    except OSError:
        raise
    except Exception as error:
        raise ValueError(
            requirement(
                subject,
                "student",
                "a model that Keras can trace for a SavedModel",
                student,
                f"It said: {' '.join(str(error).split())[:600]}",
            )
        ) from error
