"""Errors that callers act on; everything else is ValueError or TypeError."""

from typing import Any


class ExportMismatchError(RuntimeError):
    """An exported file does not behave like the model that was trained."""


class OverBudgetError(RuntimeError):
    """A student is larger or slower than its device budget allows.

    Attributes:
        measurement: The measured costs; those after the exceeded limit may
            be missing.
        violation: By which share of it the worst limit is exceeded: 0.22 is
            22 % over.
        reason: The exceeded limits, in words.
    """

    def __init__(
        self,
        message: str,
        *,
        measurement: Any = None,
        violation: float = 0.0,
        reason: str = "",
    ) -> None:
        super().__init__(message)
        self.measurement = measurement
        self.violation = violation
        self.reason = reason


class StaleCacheError(RuntimeError):
    """A teacher cache is damaged, or was built with other settings.

    Build it again in another folder, or use the teacher, data and settings
    that it was built with.
    """
