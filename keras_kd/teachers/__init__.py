"""Teachers: models and caches whose outputs a student learns from."""

from keras_kd.core import tensorflow_only  # noqa: F401
from keras_kd.teachers.cache import TeacherCache
from keras_kd.teachers.callables import HostTeacher
from keras_kd.teachers.ensemble import Ensemble
from keras_kd.teachers.joined import JoinedTeacher
from keras_kd.teachers.live import LiveTeacher
from keras_kd.teachers.loading import load

__all__ = [
    "Ensemble",
    "HostTeacher",
    "JoinedTeacher",
    "LiveTeacher",
    "TeacherCache",
    "load",
]
