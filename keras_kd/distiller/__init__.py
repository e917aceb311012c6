"""The `Distiller`: trains a student under a teacher with `model.fit`."""

from keras_kd.core import tensorflow_only  # noqa: F401
from keras_kd.distiller.distiller import Distiller

__all__ = ["Distiller"]
