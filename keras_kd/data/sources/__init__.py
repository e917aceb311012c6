"""What data can come from: one file a source."""

from keras_kd.data.sources.find import check_source
from keras_kd.data.sources.find import find

__all__ = ["check_source", "find"]
