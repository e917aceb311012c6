"""Evaluation: accuracy, calibration, agreement, size and latency."""

from keras_kd.core import tensorflow_only  # noqa: F401
from keras_kd.evaluation.evaluator import evaluate
from keras_kd.evaluation.results import Evaluation

__all__ = ["Evaluation", "evaluate"]
