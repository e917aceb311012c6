"""The files that a `.tflite` file becomes part of a firmware with."""

from keras_kd.export.firmware.files import FILES
from keras_kd.export.firmware.files import Vectors
from keras_kd.export.firmware.files import write_firmware

__all__ = ["FILES", "Vectors", "write_firmware"]
