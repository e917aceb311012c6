"""Bytes and latency of every kind of file, against the teacher's.

Every family at two widths, 10 classes, 32x32x3 images or 32 words, random
weights, which change neither figure (`export_matrix.py` verifies trained
ones). The teacher: a resnet of 56 layers in float32, for texts a transformer
of 4 layers and twice the width. Latency of one example: one thread, the
minimum of the rounds' medians, all files in turn. And what an export with
its verification takes: a resnet of 20 layers, 1 MB in float32, to int8, in a
fresh process and again in the same one. Writes
`benchmarks/results/device_files.json`.

    python benchmarks/device_files.py [--quick] [--rounds 3] [FAMILY ...]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import keras
import matrix_rows
import numpy as np
import record

from keras_kd import export
from keras_kd import students
from keras_kd.evaluation.latency import file_latency

WIDTHS = (1.0, 0.5)
RUNS = 50
EXPORT_LIMIT_SECONDS = 15.0
IMAGE, TEXT = (32, 32, 3), (32,)
CLASSES = matrix_rows.NUM_CLASSES
TEACHERS = {
    "images": partial(students.resnet, IMAGE, CLASSES, depth=56),
    "texts": partial(
        students.text_transformer, TEXT, CLASSES, width=2.0, depth=4
    ),
}


def examples(model: keras.Model, count: int = 50) -> np.ndarray:
    """Draw what a model takes: images from 0 to 1, or words."""
    generator = np.random.default_rng(0)
    shape = (count, *model.input_shape[1:])
    if "int" in model.inputs[0].dtype:
        return generator.integers(0, 20_000, shape).astype("int32")
    return generator.uniform(size=shape).astype("float32")


def exported(model: keras.Model, folder: Path) -> dict[str, Any]:
    """Export a model to every kind; return paths, or what was said."""
    folder.mkdir()
    paths = {kind: folder / f"{kind}.tflite" for kind in matrix_rows.LITERT}
    refused = matrix_rows.write_lite(model, paths, examples(model))
    return {kind: refused.get(kind, path) for kind, path in paths.items()}


def latencies(paths: list[Path], rounds: int) -> dict[Path, float]:
    """Return each file's least median, in milliseconds."""
    best = dict.fromkeys(paths, float("inf"))
    for _ in range(rounds):
        for path in paths:
            found = file_latency(path, RUNS, num_threads=1)
            best[path] = min(best[path], found.p50_ms)
    return best


def measure(names: list[str], widths: tuple[float, ...], rounds: int) -> Any:
    """Return the teachers and the rows of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        teachers, files = {}, {}
        for group, build in TEACHERS.items():
            teachers[group] = folder / f"teacher_{group}.tflite"
            export.tflite(build(), teachers[group], verify=False)
        for family in names:
            for width in widths:
                row = f"{family} {width:g}"
                model = _student(family, width)
                files[row] = exported(model, folder / row.replace(" ", "_"))
                print(f"  exported {row}", flush=True)
        made = [p for row in files.values() for p in row.values()]
        paths = [*teachers.values(), *(p for p in made if isinstance(p, Path))]
        best = latencies(paths, rounds)
        told = {
            group: {"bytes": path.stat().st_size, "latency_ms": best[path]}
            for group, path in teachers.items()
        }
        table = {
            row: {
                kind: _against(path, best, told[_group(row)])
                for kind, path in kinds.items()
            }
            for row, kinds in files.items()
        }
    return {"teachers": told, "files": table}


def _student(family: str, width: float) -> keras.Model:
    shape = TEXT if _group(family) == "texts" else IMAGE
    return getattr(students, family)(shape, CLASSES, width=width)


def _group(row: str) -> str:
    return "texts" if row.startswith("text_") else "images"


def _against(
    path: Any, best: dict[Path, float], teacher: dict[str, Any]
) -> dict[str, Any]:
    """Return a file's figures and its shares of the teacher's."""
    if not isinstance(path, Path):
        return {"refused": path}
    size, latency = path.stat().st_size, best[path]
    return {
        "bytes": size,
        "latency_ms": round(latency, 4),
        "share_of_bytes": round(size / teacher["bytes"], 4),
        "share_of_latency": round(latency / teacher["latency_ms"], 4),
    }


def export_seconds() -> dict[str, float]:
    """Time two exports one after the other in a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, "--time-export"],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def timed_exports() -> dict[str, float]:
    """Time the first export of this process, and the next one."""
    seconds = {}
    model = students.resnet(IMAGE, CLASSES)
    calibration = examples(model, 200)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("fresh", "warm"):
            start = time.perf_counter()
            path = Path(folder) / f"{name}.tflite"
            export.tflite(model, path, "int8", calibration=calibration)
            seconds[name] = round(time.perf_counter() - start, 2)
    return seconds


def show(found: dict[str, Any]) -> None:
    """Print the table: share of the teacher's bytes, of its latency."""
    print(f"{'':22}" + "".join(f"{kind:>16}" for kind in matrix_rows.LITERT))
    for row, kinds in found["files"].items():
        cells = [
            "refused"
            if "refused" in cell
            else f"{cell['share_of_bytes']:.1%} {cell['share_of_latency']:.1%}"
            for cell in kinds.values()
        ]
        print(f"{row:22}" + "".join(f"{cell:>16}" for cell in cells))


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("families", nargs="*", default=matrix_rows.FAMILIES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="writes nothing")
    parser.add_argument("--time-export", action="store_true")
    given = parser.parse_args()
    if given.time_export:
        print(json.dumps(timed_exports()))
        return
    exports = [export_seconds() for _ in range(1 if given.quick else 3)]
    seconds = {name: min(e[name] for e in exports) for name in exports[0]}
    for name, value in seconds.items():
        verdict = "met" if value <= EXPORT_LIMIT_SECONDS else "MISSED"
        print(
            f"export and verification of 1 MB, {name} process: {value} s "
            f"(at most {EXPORT_LIMIT_SECONDS:g}: {verdict})",
            flush=True,
        )
    widths = WIDTHS[1:] if given.quick else WIDTHS
    found = measure(given.families, widths, 1 if given.quick else given.rounds)
    show(found)
    if given.quick:
        return
    path = record.write(
        "device_files",
        {
            "what": " ".join(__doc__.split("\n\n")[1].split()),
            "rounds": given.rounds,
            "export_seconds": seconds | {"limit": EXPORT_LIMIT_SECONDS},
            **found,
        },
    )
    print(f"written: {path.name}")


if __name__ == "__main__":
    main()
