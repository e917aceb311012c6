"""Quantization-aware distillation: students that train with int8 simulated.

`quantize_aware` makes one of any Functional or Sequential student. The other
names are for exporters: whether a student is one, and its file's numbers.
"""

from keras_kd.quantization.fixed import fixed_ranges
from keras_kd.quantization.fixed import has_float_ends
from keras_kd.quantization.fixed import is_quantize_aware
from keras_kd.quantization.fixed import num_float_weights
from keras_kd.quantization.quantize_aware import quantize_aware

__all__ = [
    "fixed_ranges",
    "has_float_ends",
    "is_quantize_aware",
    "num_float_weights",
    "quantize_aware",
]
