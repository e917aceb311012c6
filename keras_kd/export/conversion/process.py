"""The child process that converts."""

import functools
import os
from pathlib import Path

from keras_kd.core.child import Child

_PROGRAM = str(Path(__file__).with_name("program.py"))
# Limits the growth of the child's memory, which went from 665 MiB to about 678
# MiB in 60 jobs.
_MAX_JOBS = 100


class Converter(Child):
    """A child process that runs conversions, one after the other.

    It needs some 3 seconds to import TensorFlow, more than the conversion of a
    small student takes, so all exports of a program share `converter()`.
    """

    def __init__(self) -> None:
        super().__init__(_PROGRAM, _MAX_JOBS)


@functools.cache
def converter() -> Converter:
    """Return the converter of this program."""
    return Converter()


# A fork may come while another thread holds the converter's lock.
os.register_at_fork(after_in_child=converter.cache_clear)
