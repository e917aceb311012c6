"""Exports students to files and proves that the files behave like them."""

from keras_kd.core import tensorflow_only  # noqa: F401
from keras_kd.core.errors import ExportMismatchError
from keras_kd.export.card import read_card
from keras_kd.export.layer_rounding import rounding
from keras_kd.export.microcontroller import microcontroller
from keras_kd.export.onnx import onnx
from keras_kd.export.saved_model import saved_model
from keras_kd.export.tflite import tflite
from keras_kd.export.tflite import tflite_files
from keras_kd.export.verification import Verification
from keras_kd.export.verify import verify

__all__ = [
    "ExportMismatchError",
    "Verification",
    "microcontroller",
    "onnx",
    "read_card",
    "rounding",
    "saved_model",
    "tflite",
    "tflite_files",
    "verify",
]
