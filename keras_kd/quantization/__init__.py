"""Quantization-aware distillation: students that train with int8 simulated.

`quantize_aware` converts any Functional or Sequential student. The other
functions are for exporters: they tell whether a student is quantize-aware and
what stays in float32, and fix its ranges for the conversion.
"""

from keras_kd.core import tensorflow_only  # noqa: F401
from keras_kd.quantization.fixed import fixed_ranges
from keras_kd.quantization.fixed import has_float_ends
from keras_kd.quantization.fixed import has_float_outputs
from keras_kd.quantization.fixed import is_quantize_aware
from keras_kd.quantization.fixed import num_float_weights
from keras_kd.quantization.fixed import simulated_runtime
from keras_kd.quantization.quantize_aware import quantize_aware

__all__ = [
    "fixed_ranges",
    "has_float_ends",
    "has_float_outputs",
    "is_quantize_aware",
    "num_float_weights",
    "quantize_aware",
    "simulated_runtime",
]
