"""Teachers: what gives the outputs that a student learns from."""

from keras_kd.teachers.files import load
from keras_kd.teachers.live import LiveTeacher

__all__ = ["LiveTeacher", "load"]
