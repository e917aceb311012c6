"""keras_kd: teacher in, verified device file out.

Everything here is loaded on first use, so that `import keras_kd` costs
nothing and the command line answers `--help` without TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING
from typing import Any

from keras_kd.core.saved_classes import find_when_asked

__version__ = "0.1.0"

# Public name -> module that defines it (None: the name is a sub-package).
_EXPORTS = {
    "Budget": "keras_kd.search.cost.budget",
    "Distiller": "keras_kd.distiller",
    "Evaluation": "keras_kd.evaluation",
    "ExportMismatchError": "keras_kd.core.errors",
    "OverBudgetError": "keras_kd.core.errors",
    "StaleCacheError": "keras_kd.core.errors",
    "TeacherCache": "keras_kd.teachers",
    "compress": "keras_kd.jobs.compressing",
    "evaluate": "keras_kd.evaluation",
    "report": "keras_kd.reporting",
    "data": None,
    "evaluation": None,
    "export": None,
    "jobs": None,
    "losses": None,
    "quantization": None,
    "regimes": None,
    "search": None,
    "strategies": None,
    "students": None,
    "teachers": None,
}

__all__ = [*_EXPORTS, "__version__"]

if TYPE_CHECKING:
    from keras_kd import data as data
    from keras_kd import evaluation as evaluation
    from keras_kd import export as export
    from keras_kd import jobs as jobs
    from keras_kd import losses as losses
    from keras_kd import quantization as quantization
    from keras_kd import regimes as regimes
    from keras_kd import search as search
    from keras_kd import strategies as strategies
    from keras_kd import students as students
    from keras_kd import teachers as teachers
    from keras_kd.core.errors import ExportMismatchError as ExportMismatchError
    from keras_kd.core.errors import OverBudgetError as OverBudgetError
    from keras_kd.core.errors import StaleCacheError as StaleCacheError
    from keras_kd.distiller import Distiller as Distiller
    from keras_kd.evaluation import Evaluation as Evaluation
    from keras_kd.evaluation import evaluate as evaluate
    from keras_kd.jobs.compressing import compress as compress
    from keras_kd.reporting import report as report
    from keras_kd.search.cost.budget import Budget as Budget
    from keras_kd.teachers import TeacherCache as TeacherCache


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _EXPORTS:
        raise AttributeError(f"module 'keras_kd' has no attribute {name!r}")
    module = _EXPORTS[name]
    if module is None:
        value: Any = importlib.import_module(f"keras_kd.{name}")
    else:
        value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


find_when_asked()
