"""Quantization-aware students."""
from keras_kd.quantization.quantize_aware import quantize_aware
