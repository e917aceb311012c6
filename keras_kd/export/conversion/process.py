"""The process that converts: started, waited for, stopped and replaced.

Not one of `multiprocessing`: its spawned children first run the main module
again, so that a script without a main guard would train its teacher a second
time and then fail, and one that is read from standard input fails at once.
They may not be started from a worker of a `multiprocessing.Pool` either, and
take this process's environment, with its GPUs, as it is.
"""

import os
import subprocess
import sys
import tempfile
import threading
import weakref
from pathlib import Path
from typing import IO
from typing import Any

_PROGRAM = str(Path(__file__).with_name("program.py"))
# Bounds what the converter's memory can grow to: it grew by some 13 MiB in
# 60 jobs, from 665.
_MAX_JOBS = 100


class Converter:
    """A process that does one conversion after the other.

    Importing TensorFlow takes it some 3 seconds, more than a small student's
    conversion, so that searches keep one for many students. It begins with
    the first job or with `start`, is replaced when it crashed, was stopped or
    has done a hundred jobs, and ends with `close`, with this object or with
    the process it belongs to. Jobs of several threads follow one another.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[bytes] | None = None
        self._owner = 0
        self._jobs = 0
        self._end: Any = None

    def __enter__(self) -> "Converter":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def start(self) -> None:
        """Let the process begin, without waiting for it."""
        with self._lock:
            self._running()

    def run(self, job: Path, timeout: float) -> tuple[int | None, str]:
        """Do a job.

        Args:
            job: Its file, as `program` reads it.
            timeout: Seconds after which the process is killed; its start
                counts.

        Returns:
            The exit code, 0 where it went well, `None` where it took longer
            than `timeout`; and what was printed.
        """
        with self._lock:
            process, log = self._running()
            # The child writes where this ends: it has the same position.
            log.seek(0)
            log.truncate()
            self._jobs += 1
            answer = _ask(process, str(job), timeout)
            if answer:
                return int(answer), _read(log)
            if answer is None:
                process.kill()
            code = process.wait()
            output = _read(log)
            self._stop()
            # It ended without an answer: that is no success, whatever it says.
            return (None if answer is None else code or 1), output

    def close(self) -> None:
        """End the process; the next job begins another."""
        with self._lock:
            self._stop()

    def _running(self) -> tuple["subprocess.Popen[str]", IO[bytes]]:
        """Return the process and its log, new ones where that is needed."""
        if self._process is not None and (
            self._owner != os.getpid()
            or self._process.poll() is not None
            or self._jobs >= _MAX_JOBS
        ):
            self._stop()
        if self._process is None or self._log is None:
            log = tempfile.TemporaryFile()  # noqa: SIM115 (closed in _end)
            # -P: the folder of the program must not shadow other packages.
            self._process = subprocess.Popen(
                [sys.executable, "-P", _PROGRAM, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                env=_environment(),
            )
            self._log, self._owner, self._jobs = log, os.getpid(), 0
            self._end = weakref.finalize(self, _end, self._process, log)
        return self._process, self._log

    def _stop(self) -> None:
        if self._end is not None:
            # A fork of the owner has the pipes, and not the right to kill.
            if self._owner == os.getpid():
                self._end()
            else:
                self._end.detach()
        self._process = self._log = self._end = None


def _environment() -> dict[str, str]:
    """Return the variables that the process runs with."""
    return os.environ | {
        # What can be imported here, however that came to be.
        "PYTHONPATH": os.pathsep.join(sys.path),
        # TensorFlow may hold all memory of the GPUs here.
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def _ask(
    process: "subprocess.Popen[str]", line: str, timeout: float
) -> str | None:
    """Send a line; return the answer, "" at the end, `None` for no answer."""
    answers: list[str] = []
    thread = threading.Thread(
        target=_exchange, args=(process, line, answers), daemon=True
    )
    thread.start()
    thread.join(timeout)
    return answers[0] if answers else None


def _exchange(
    process: "subprocess.Popen[str]", line: str, answers: list[str]
) -> None:
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        return
    try:
        stdin.write(f"{line}\n")
        stdin.flush()
        answers.append(stdout.readline().strip())
    except (OSError, ValueError):
        answers.append("")


def _read(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode("utf-8", "replace")


def _end(process: "subprocess.Popen[str]", log: IO[bytes]) -> None:
    """Kill the process and close what is open."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, log):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                # What was not sent to a dead process cannot be.
                continue
