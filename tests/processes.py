"""Python in processes of its own."""

import os
import subprocess
import sys
from pathlib import Path

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
