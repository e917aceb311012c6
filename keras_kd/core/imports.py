"""Imports of packages that only some features need."""

import importlib
from types import ModuleType


def optional(module: str, extra: str, purpose: str) -> ModuleType:
    """Import `module`, or raise an error that names the extra to install.

    Args:
        module: Import name of the package.
        extra: The extra of `keras-kd` that installs it.
        purpose: What needs the package, as the subject of the error's
            sentence.

    Raises:
        ImportError: If the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs the package `{module}`. "
            f"Install it with `pip install 'keras-kd[{extra}]'`."
        ) from error
