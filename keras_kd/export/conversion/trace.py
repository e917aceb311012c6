"""A student traced into a SavedModel folder, which nobody has looked at."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf

from keras_kd.core.keras_internals import held_variables
from keras_kd.core.tensorflow_internals import freeze
from keras_kd.export.context import Context
from keras_kd.export.signature import Signature


def write_saved_model(
    context: Context,
    path: Path,
    signature: Signature,
    batch_size: int | None,
) -> None:
    """Write a SavedModel with the names of `signature`, unchecked.

    Args:
        context: What the file computes.
        path: The folder.
        signature: Its inputs.
        batch_size: `None` leaves it open.

    Raises:
        ValueError: If TensorFlow cannot trace the student.
    """
    with _tracing(context):
        archive = keras.export.ExportArchive()
        archive.track(context.model)
        _unwrap(archive)
        archive.add_endpoint(
            "serve",
            _inference(context.model),
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
        setattr(held_variables(archive), name, held)


def write_frozen(
    context: Context,
    path: Path,
    signature: Signature,
    batch_size: int | None,
) -> None:
    """Write a SavedModel whose weights are constants, for a converter.

    To write and to convert it takes a quarter of the time of one with
    variables, which TensorFlow traces again for saving and restores one by
    one.

    Args:
        context: What the file computes.
        path: The folder.
        signature: Its inputs.
        batch_size: `None` leaves it open.

    Raises:
        ValueError: If TensorFlow cannot trace the student.
    """
    specs = signature.tensor_specs(batch_size)
    with _tracing(context):
        traced = tf.function(
            _inference(context.model), autograph=False
        ).get_concrete_function(*specs)
        frozen = freeze(traced)

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
def _tracing(context: Context) -> Iterator[None]:
    """Word what TensorFlow says of a student that it cannot trace."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise context.refusal(
            "student",
            "a model that Keras can trace for a SavedModel",
            context.student,
            f"It said: {' '.join(str(error).split())[:600]}",
        ) from error
