"""Errors that callers act on; everything else is ValueError or TypeError."""


class ExportMismatchError(RuntimeError):
    """An exported file does not behave like the model that was trained."""
