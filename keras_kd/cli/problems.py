"""Collects what is wrong with a command's arguments, to say it all at once."""

from types import TracebackType

# Errors that the package raises for input it cannot use; the user can fix them.
EXPECTED = (
    FloatingPointError,  # a loss that is not finite
    ImportError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class Problems:
    """Keeps the expected errors of its blocks.

    Example:
    >>> from keras_kd.cli.problems import Problems
    >>> problems = Problems()
    >>> for text in ("1", "one", "two"):
    ...     with problems:
    ...         value = int(text)
    >>> len(problems.found)
    2
    """

    def __init__(self) -> None:
        self.found: list[Exception] = []

    def __enter__(self) -> "Problems":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, EXPECTED):
            return False
        self.found.append(error)
        return True

    def check(self) -> None:
        """Raise what was found: one error itself, several as a group."""
        if len(self.found) > 1:
            raise ExceptionGroup("wrong arguments", self.found)
        if self.found:
            raise self.found[0]
