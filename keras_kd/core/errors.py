"""Errors that callers act on; everything else is ValueError or TypeError."""


class ExportMismatchError(RuntimeError):
    """An exported file does not behave like the model that was trained."""


class StaleCacheError(RuntimeError):
    """A teacher cache does not belong to what is asked of it, or is damaged.

    Build it again in another folder, or use what it was built with.
    """
