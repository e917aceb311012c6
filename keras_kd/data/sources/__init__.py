"""What data can come from: one file a source."""

from keras_kd.data.sources.find import find

__all__ = ["find"]
