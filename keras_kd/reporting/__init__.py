"""Reports: one page that shows what a student costs and what it keeps."""

from keras_kd.core import tensorflow_only  # noqa: F401
from keras_kd.reporting.reporter import report

__all__ = ["report"]
