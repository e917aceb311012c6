"""The benchmarks, for tests that work their results out again."""

import importlib
import json
import sys
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "benchmarks"


def results(name):
    """Read what a benchmark has written."""
    return json.loads((FOLDER / f"results/{name}.json").read_text())


@contextmanager
def imported(name):
    """Import a script, which imports its neighbours."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))
