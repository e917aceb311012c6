"""Errors that callers act on; everything else is ValueError or TypeError."""

from typing import Any


class ExportMismatchError(RuntimeError):
    """An exported file does not behave like the model that was trained."""


class OverBudgetError(RuntimeError):
    """A student is larger or slower than its device budget allows.

    Attributes:
        measurement: What was measured; later limits may be missing.
        violation: How far over the worst limit, as a share of it: 0.22 is
            22 % over.
        reason: The limits that were passed, in words.
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
    """A teacher cache does not belong to what is asked of it, or is damaged.

    Build it again in another folder, or use what it was built with.
    """
