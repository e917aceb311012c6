"""Search for the best student that fits a device."""

from keras_kd.core.errors import OverBudgetError
from keras_kd.search.budget import Budget
from keras_kd.search.measurement import Measurement

__all__ = ["Budget", "Measurement", "OverBudgetError"]
