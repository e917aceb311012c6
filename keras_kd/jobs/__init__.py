"""What the commands do, as functions that Python users call too.

Loaded on first use, so that the command line answers `--help` at once.
"""

import importlib
from typing import TYPE_CHECKING
from typing import Any

if TYPE_CHECKING:
    from keras_kd.jobs.compressed import Compressed as Compressed
    from keras_kd.jobs.compressed import CompressSetting as CompressSetting
    from keras_kd.jobs.compressing import compress as compress
    from keras_kd.jobs.distilling import Distilled as Distilled
    from keras_kd.jobs.distilling import DistillSetting as DistillSetting
    from keras_kd.jobs.distilling import distill as distill
    from keras_kd.jobs.reporting import report as report
    from keras_kd.jobs.searching import Found as Found
    from keras_kd.jobs.searching import SearchSetting as SearchSetting
    from keras_kd.jobs.searching import search as search
    from keras_kd.jobs.starting import Outcome as Outcome
    from keras_kd.jobs.starting import QuickstartSetting as QuickstartSetting
    from keras_kd.jobs.starting import quickstart as quickstart

# Name -> module.
_MODULES = {
    "CompressSetting": "compressed",
    "Compressed": "compressed",
    "DistillSetting": "distilling",
    "Distilled": "distilling",
    "Found": "searching",
    "Outcome": "starting",
    "QuickstartSetting": "starting",
    "SearchSetting": "searching",
    "compress": "compressing",
    "distill": "distilling",
    "quickstart": "starting",
    "report": "reporting",
    "search": "searching",
}
__all__ = [
    "CompressSetting",
    "Compressed",
    "DistillSetting",
    "Distilled",
    "Found",
    "Outcome",
    "QuickstartSetting",
    "SearchSetting",
    "compress",
    "distill",
    "quickstart",
    "report",
    "search",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(
            f"module 'keras_kd.jobs' has no attribute {name!r}"
        )
    importlib.import_module("keras_kd.core.tensorflow_only")
    module = importlib.import_module(f"keras_kd.jobs.{_MODULES[name]}")
    return getattr(module, name)
