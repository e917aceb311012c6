"""The `Distiller`: trains a student under a teacher with `model.fit`."""

from keras_kd.distiller.distiller import Distiller

__all__ = ["Distiller"]
