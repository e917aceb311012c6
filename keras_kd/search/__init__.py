"""Search for the best student that fits a device."""

import importlib
from typing import TYPE_CHECKING
from typing import Any

from keras_kd.core import tensorflow_only  # noqa: F401
from keras_kd.core.errors import OverBudgetError
from keras_kd.core.imports import optional
from keras_kd.search.cost.budget import Budget
from keras_kd.search.cost.measurement import Measurement

if TYPE_CHECKING:
    from keras_kd.search.candidate import Candidate as Candidate
    from keras_kd.search.results import HeldOutResult as HeldOutResult
    from keras_kd.search.trials.hypermodel import (
        StudentHyperModel as StudentHyperModel,
    )
    from keras_kd.search.tuner import StudentTuner as StudentTuner

# Name -> module. These names need KerasTuner; `Budget` does not.
_TUNING = {
    "Candidate": "candidate",
    "HeldOutResult": "results",
    "StudentHyperModel": "trials.hypermodel",
    "StudentTuner": "tuner",
}

__all__ = [
    "Budget",
    "Candidate",
    "HeldOutResult",
    "Measurement",
    "OverBudgetError",
    "StudentHyperModel",
    "StudentTuner",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _TUNING:
        raise AttributeError(
            f"module 'keras_kd.search' has no attribute {name!r}"
        )
    optional("keras_tuner", "tuner", f"`keras_kd.search.{name}`")
    module = importlib.import_module(f"keras_kd.search.{_TUNING[name]}")
    value = getattr(module, name)
    globals()[name] = value
    return value
