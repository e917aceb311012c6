"""A student traced into a SavedModel folder, which nobody has looked at."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf

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
    with _tracing(student, subject):
        archive = keras.export.ExportArchive()
        archive.track(student)
        _unwrap(archive)
        archive.add_endpoint(
            "serve",
            _inference(student),
            input_signature=signature.tensor_specs(batch_size),
        )
        archive.write_out(str(path), verbose=False)


def _unwrap(archive: keras.export.ExportArchive) -> None:
    """Let the archive hold TensorFlow's variables, as its graph does.

    It holds Keras's around them, and TensorFlow stores both: the folder is
    twice the weights.
    """
    # No public way: `variables` has no setter.
    for name in ("variables", "trainable_variables", "non_trainable_variables"):
        held = [variable.value for variable in getattr(archive, name)]
        setattr(archive._tf_trackable, name, held)


def write_frozen(
    student: keras.Model,
    path: Path,
    signature: Signature,
    batch_size: int | None,
    subject: str,
) -> None:
    """Write a SavedModel whose weights are constants, for a converter.

    To write and to convert it takes a quarter of the time of one with
    variables, which TensorFlow traces again for saving and restores one by
    one.

    Args:
        student: A built model.
        path: The folder.
        signature: Its inputs.
        batch_size: `None` leaves it open.
        subject: Who asks, for the error messages.

    Raises:
        ValueError: If TensorFlow cannot trace the student.
    """
    # Not in the stable API; the converter itself freezes with it.
    from tensorflow.python.framework import convert_to_constants

    specs = signature.tensor_specs(batch_size)
    with _tracing(student, subject):
        traced = tf.function(
            _inference(student), autograph=False
        ).get_concrete_function(*specs)
        frozen = convert_to_constants.convert_variables_to_constants_v2(
            traced, lower_control_flow=False
        )

        @tf.function(input_signature=specs, autograph=False)
        def serve(x: object) -> object:
            outputs = frozen(*tf.nest.flatten(x))
            return tf.nest.pack_sequence_as(
                traced.structured_outputs, tf.nest.flatten(outputs)
            )

        tf.saved_model.save(
            tf.Module(),
            str(path),
            signatures=serve.get_concrete_function(),
            # The gradient of swish holds a tensor of the first trace.
            options=tf.saved_model.SaveOptions(
                experimental_custom_gradients=False
            ),
        )


def _inference(student: keras.Model) -> functools.partial:
    # Without `training`, as in `student.export`, the random layers that
    # augment images stay switched on in the file.
    return functools.partial(student.__call__, training=False)


@contextmanager
def _tracing(student: keras.Model, subject: str) -> Iterator[None]:
    """Word what TensorFlow says of a student that it cannot trace."""
    try:
        yield
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
