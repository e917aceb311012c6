"""Python in processes of its own."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parents[1]
# For what should end: a busy machine takes many times as long as a quiet one.
PATIENCE = 900


def environment(**more):
    """Return this process's variables, with ours on the path and more."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return {**os.environ, "PYTHONPATH": path, **more}


def run(*command, code=0, **variables):
    """Run a command to its end and return what it printed.

    Args:
        *command: The program and its arguments.
        code: How it has to end; `None` for any way.
        **variables: Of the environment.
    """
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=PATIENCE,
        env=environment(**variables),
    )
    assert code in (None, done.returncode), done.stderr[-3000:]
    return done


def run_python(*arguments, **kwargs):
    """Run this Python, see `run`."""
    return run(sys.executable, *arguments, **kwargs)


def start(out, target, *arguments, error=None, **variables):
    """Start a function in a process that has everything imported.

    A server imports once and forks: a new process starts in milliseconds.

    Args:
        out: File that what is printed is added to.
        target: The function.
        *arguments: Its arguments.
        error: File for what goes to stderr, if not `out`.
        **variables: Of the environment.

    Returns:
        The process.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cheap_search", "small_searches"])
    before = os.environ.get("PYTHONPATH", "")
    # All that the server knows of `sys.path`.
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    try:
        process = context.Process(
            target=_logged,
            args=(out, error or out, environment(**variables), target),
            kwargs={"arguments": arguments},
        )
        process.start()
    finally:
        os.environ["PYTHONPATH"] = before
    return process


def _logged(out, error, variables, target, arguments):
    for number, path in ((1, out), (2, error)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(ROOT)
    target(*arguments)


def end(process):
    """Wait for a process that was started, and return its exit code."""
    try:
        process.join(PATIENCE)
    finally:
        process.kill()
        process.join()
    return process.exitcode


def run_program(program, *arguments, code=0, **variables):
    """Run a script, or code, as `run` does, without TensorFlow's import."""
    with tempfile.TemporaryDirectory() as folder:
        out, error = Path(folder, "out"), Path(folder, "error")
        given = (program, *map(str, arguments))
        process = start(out, _main, *given, error=error, **variables)
        found = end(process)
        done = SimpleNamespace(stdout=out.read_text(), stderr=error.read_text())
    sys.stdout.write(done.stdout)  # pytest shows it if the test fails
    assert code in (None, found), done.stderr[-3000:]
    return done


def _main(program, *arguments):
    sys.argv = [str(program), *arguments]
    if isinstance(program, Path):
        sys.path.insert(0, str(program.parent))
        runpy.run_path(str(program), run_name="__main__")
    else:
        exec(program, {"__name__": "__main__"})
