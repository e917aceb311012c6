"""Starts, awaits, stops and replaces a child process that does jobs.

It does not use `multiprocessing`. Children spawned by `multiprocessing` first
run the main module again: a script without a main guard would train its teacher
a second time and then fail, and a script from standard input fails at once.
They also cannot be started from a worker of a `multiprocessing.Pool`, and they
inherit this process's environment, including its GPUs.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from typing import Any
from typing import Self

_IDLE_SECONDS = 120.0
# Exit code of a child that ends because it is idle; no signal or Python error
# has it.
_IDLE_CODE = 75
# A converter that has converted small students has some 680 MiB.
_MAX_BYTES = 1 << 30


class Child:
    """A child process that runs a program's jobs, one after the other.

    The child starts with the first job or with `start`. It is replaced after
    a crash, after a timeout, after `max_jobs`, and after a job that leaves it
    with more than 1 GiB of memory. It ends with `close`, with this object,
    with the parent process, or after two minutes without a job. Several
    threads may share a `Child`; their jobs run one at a time. A fork of this
    process starts a child of its own.

    Args:
        program: A Python file that ends in a call of `serve`.
        max_jobs: Number of jobs after which the child is replaced, which
            limits the growth of its memory.
    """

    def __init__(self, program: str | Path, max_jobs: int) -> None:
        self._program = str(program)
        self._max_jobs = max_jobs
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[bytes] | None = None
        self._owner = 0
        self._jobs = 0
        self._end: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the child process without waiting for it."""
        with self._lock:
            self._running()

    def run(self, job: Path, timeout: float) -> tuple[int | None, str]:
        """Run a job in the child process.

        Args:
            job: Path of the job's file, which the program knows how to read.
            timeout: Seconds, including the start of the child, after which
                the child is killed.

        Returns:
            The exit code, 0 for success and `None` for a timeout; and the
            text that the child printed.
        """
        with self._lock:
            process, log = self._running()
            # The child shares this file position and writes from here on.
            log.seek(0)
            log.truncate()
            self._jobs += 1
            answer = _ask(process, str(job), timeout)
            if answer:
                output = _read(log)
                if _resident_bytes(process.pid) > _MAX_BYTES:
                    self._stop()
                return int(answer), output
            if answer is None:
                process.kill()
            code = process.wait()
            output = _read(log)
            self._stop()
        if answer is not None and code == _IDLE_CODE:
            # It had ended by itself, just before the job came.
            return self.run(job, timeout)
        # A child that ended without an answer failed, even with code 0.
        return (None if answer is None else code or 1), output

    def close(self) -> None:
        """End the child process; the next job starts another one."""
        with self._lock:
            self._stop()

    def _running(self) -> tuple["subprocess.Popen[str]", IO[bytes]]:
        """Return the child process and its log, started anew if necessary."""
        if self._process is not None and (
            self._owner != os.getpid()
            or self._process.poll() is not None
            or self._jobs >= self._max_jobs
        ):
            self._stop()
        if self._process is None or self._log is None:
            log = tempfile.TemporaryFile()  # noqa: SIM115 (closed in _end)
            # -P keeps the program's folder from shadowing other packages.
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", self._program),
                    *(str(os.getpid()), str(_IDLE_SECONDS)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                env=_environment(),
            )
            self._log, self._owner, self._jobs = log, os.getpid(), 0
            self._end = weakref.finalize(
                self, _end, os.getpid(), self._process, log
            )
        return self._process, self._log

    def _stop(self) -> None:
        if self._end is not None:
            self._end()
        self._process = self._log = self._end = None


def _environment() -> dict[str, str]:
    """Return the environment variables of the child process."""
    return os.environ | {
        # The child can import the same packages as this process.
        "PYTHONPATH": os.pathsep.join(sys.path),
        # TensorFlow in this process may have reserved all GPU memory.
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def _ask(
    process: "subprocess.Popen[str]", line: str, timeout: float
) -> str | None:
    """Send a line; return the answer, "" if it ended, `None` on timeout."""
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


def _resident_bytes(pid: int) -> int:
    """Return a process's memory; 0 where the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _end(owner: int, process: "subprocess.Popen[str]", log: IO[bytes]) -> None:
    """Kill the child process and close its pipes and log."""
    if owner != os.getpid():
        # A fork of the owner has the pipes but must not kill the child.
        return
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, log):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                # Unsent data for a dead process cannot be flushed.
                continue


def serve(do: Callable[[str], int]) -> int:
    """Run the parent's jobs until its pipe closes; a program ends in this.

    Args:
        do: Function from a job's path to the exit code of the job. What it
            and its libraries print is the job's output.

    Returns:
        The exit code of the program.
    """
    watch = _Watch(int(sys.argv[1]), float(sys.argv[2]))
    threading.Thread(target=watch.run, daemon=True).start()
    # Libraries print to stdout, which must not mix with the answers.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            with watch.busy():
                code = do(line.strip())
            sys.stdout.flush()  # The parent reads the output with the answer.
            answers.write(f"{code}\n")
            answers.flush()
    return 0


class _Watch:
    """Ends this process when it is of no use.

    Args:
        parent: Id of the process with which it ends, even if the pipe stays
            open.
        idle_seconds: Seconds without a job after which it ends.
    """

    def __init__(self, parent: int, idle_seconds: float) -> None:
        self._parent = parent
        self._idle_seconds = idle_seconds
        self._idle_since: float | None = time.monotonic()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Do not count the time as idle."""
        self._idle_since = None
        yield
        self._idle_since = time.monotonic()

    def run(self) -> None:
        """Look every second; never return."""
        while os.getppid() == self._parent:
            since = self._idle_since
            if since and time.monotonic() - since > self._idle_seconds:
                os._exit(_IDLE_CODE)
            time.sleep(min(1.0, self._idle_seconds))
        os._exit(1)
