"""Data: the bundled digits, data sets by name, arrays."""

from keras_kd.core import tensorflow_only  # noqa: F401
from keras_kd.data.arrays import from_arrays
from keras_kd.data.bundled import digits
from keras_kd.data.example_ids import number_examples
from keras_kd.data.loading import load
from keras_kd.data.splits import Splits
from keras_kd.data.taker import Taker

__all__ = [
    "Splits",
    "Taker",
    "digits",
    "from_arrays",
    "load",
    "number_examples",
]
