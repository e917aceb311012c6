"""The child process that converts."""

from pathlib import Path

from keras_kd.core.child import Child

_PROGRAM = str(Path(__file__).with_name("program.py"))
# Limits the growth of the child's memory, which went from 665 MiB to about 678
# MiB in 60 jobs.
_MAX_JOBS = 100


class Converter(Child):
    """A child process that runs conversions, one after the other.

    It needs some 3 seconds to import TensorFlow, more than the conversion of a
    small student takes, so a search keeps one `Converter` for many students.
    """

    def __init__(self) -> None:
        super().__init__(_PROGRAM, _MAX_JOBS)
