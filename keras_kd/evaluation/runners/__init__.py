"""Everything that can be measured, as one kind of object."""

from keras_kd.evaluation.runners.runner import Runner
from keras_kd.evaluation.runners.runner import open_runner

__all__ = ["Runner", "open_runner"]
