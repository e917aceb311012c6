"""The program of the child process that runs files in TFLite Micro.

A job's file is JSON with `file` (a path), `arena` (bytes), `inputs` (`.npy`
paths, or `None` to open the file only) and `outputs` (`.npy` paths to write).
The answer is 0, or 1 for a file that the runtime refuses. What the runtime
prints, the parent reads: why it refused, how much of the arena it used.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from keras_kd.core.child import serve


def do(job_path: str) -> int:
    """Do a job; return 0, or 1 if the runtime refused the file."""
    from tflite_micro.python.tflite_micro.runtime import Interpreter

    job = json.loads(Path(job_path).read_text("utf-8"))
    try:
        content = Path(job["file"]).read_bytes()
        interpreter = Interpreter.from_bytes(content, arena_size=job["arena"])
        if job["inputs"] is not None:
            _run(interpreter, job)
            interpreter.print_allocations()
    # A damaged file may raise any error.
    except Exception as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        return 1
    return 0


def _run(interpreter: Any, job: dict[str, Any]) -> None:
    """Run the examples, as many at a time as the file takes."""
    given = [np.load(path) for path in job["inputs"]]
    size = int(interpreter.get_input_details(0)["shape"][0])
    found: list[list[np.ndarray]] = [[] for _ in job["outputs"]]
    for first in range(0, len(given[0]), size):
        for place, value in enumerate(given):
            interpreter.set_input(value[first : first + size], place)
        interpreter.invoke()
        for place, parts in enumerate(found):
            # A copy: the next run writes over it.
            parts.append(np.array(interpreter.get_output(place)))
    for path, parts in zip(job["outputs"], found, strict=True):
        np.save(path, np.concatenate(parts))


if __name__ == "__main__":
    sys.exit(serve(do))
