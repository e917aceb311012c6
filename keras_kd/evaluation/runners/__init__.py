"""A common interface to everything that can be measured."""

from keras_kd.evaluation.runners.runner import Runner
from keras_kd.evaluation.runners.runner import open_runner

__all__ = ["Runner", "open_runner"]
