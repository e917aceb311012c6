"""Holds back what native libraries write to standard error."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# The descriptor belongs to the process: a second block waits for the first.
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def without_lines(*chatter: str) -> Iterator[None]:
    """Drop known lines that native code writes to file descriptor 2.

    C++ libraries write there whatever Python's log levels are, in the middle
    of a progress bar. All other lines are written when the block ends; if it
    raises, every line is.

    Args:
        chatter: Parts of the lines to drop; `""` is part of every line.

    Example:
    >>> import os
    >>> from keras_kd.core.native_output import without_lines
    >>> with without_lines("delegate"):
    ...     _ = os.write(2, b"Created a delegate")
    """
    with _ONE_AT_A_TIME:
        try:
            terminal = os.dup(2)
        except OSError:  # the process has no standard error
            yield
            return
        if sys.stderr is not None:
            sys.stderr.flush()
        with tempfile.TemporaryFile() as written:
            os.dup2(written.fileno(), 2)
            dropped: tuple[str, ...] = ()
            try:
                yield
                dropped = chatter
            finally:
                os.dup2(terminal, 2)
                os.close(terminal)
                written.seek(0)
                for line in written:
                    text = line.decode("utf-8", "replace")
                    if not any(part in text for part in dropped):
                        os.write(2, line)
