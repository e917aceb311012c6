"""Traces a student into a SavedModel folder, without verifying it."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf

from keras_kd.core.keras_internals import held_variables
from keras_kd.core.keras_internals import traceable_operations
from keras_kd.core.tensorflow_internals import freeze
from keras_kd.export.context import Context
from keras_kd.export.conversion.recurrent import portable
from keras_kd.export.signature import Signature


def write_saved_model(
    context: Context,
    path: Path,
    signature: Signature,
    batch_size: int | None,
) -> None:
    """Write a SavedModel with the names of `signature`, without verifying it.

    Args:
        context: The model to write.
        path: The folder.
        signature: Inputs of the SavedModel.
        batch_size: Fixed batch size, or `None` for any.

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
    """Make the archive hold TensorFlow's variables instead of Keras's.

    The archive holds Keras's variables, and its graph the TensorFlow variables
    inside them. TensorFlow would store both, and the folder would hold all
    weights twice.
    """
    # There is no public way: `variables` has no setter.
    for name in ("variables", "trainable_variables", "non_trainable_variables"):
        held = [variable.value for variable in getattr(archive, name)]
        setattr(held_variables(archive), name, held)


def write_frozen(
    context: Context,
    path: Path,
    signature: Signature,
    batch_size: int | None,
) -> None:
    """Write a SavedModel whose weights are constants, for the converter.

    Writing and converting it takes a quarter of the time that a SavedModel
    with variables takes, which TensorFlow traces again for saving and whose
    variables it restores one by one.

    Args:
        context: The model to write.
        path: The folder.
        signature: Inputs of the SavedModel.
        batch_size: Fixed batch size, or `None` for any.

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
            # The gradient of swish refers to a tensor of the first trace.
            options=tf.saved_model.SaveOptions(
                experimental_custom_gradients=False
            ),
        )


def _inference(student: keras.Model) -> functools.partial:
    # Without `training=False`, as in `student.export`, random layers that
    # augment images would stay active in the file.
    return functools.partial(student.__call__, training=False)


@contextmanager
def _tracing(context: Context) -> Iterator[None]:
    """Trace for every machine; word TensorFlow's error if it cannot."""
    try:
        with traceable_operations(), portable(context.model):
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
