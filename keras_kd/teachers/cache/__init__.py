"""The teacher's outputs, computed once, stored small, joined by content."""

from keras_kd.teachers.cache.cache import TeacherCache

__all__ = ["TeacherCache"]
