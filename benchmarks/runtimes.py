"""How far three runtimes lie apart on the same int8 file.

LiteRT's fast kernels (XNNPACK), its reference kernels and TFLite Micro run
the int8 file of a trained student of each family: a quarter of the width,
10 epochs on the bundled digits at 16x16, for texts made sentences of 10
classes; and the reference files of MLPerf Tiny, if `KERAS_KD_MLPERF_TINY` is
their folder: ResNet-8 on cifar10_jpeg, the others on random inputs. For each
pair of runtimes: the largest and the mean difference of an output, in its
quantization steps, and the share of equal classes, on 256 examples of no
training. A file that TFLite Micro cannot run has its reason. The rows `aware
FAMILY` are of students that then train for an epoch with the rounding of
LiteRT or of TFLite Micro simulated: how far the file is from its student in
each runtime. Writes `benchmarks/results/runtimes.json`.

    python benchmarks/runtimes.py [ROW ...]
"""

import itertools
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import keras
import matrix_data
import numpy as np
import record

import keras_kd
from keras_kd.evaluation import runtimes
from keras_kd.evaluation.litert import LiteRTModel

WIDTH, EPOCHS, EXAMPLES = 0.25, 10, 256
SENTENCES = 2000
FAMILIES = [
    name
    for name in keras_kd.students.__all__
    if name not in ("shrink", "with_teacher_head")
]
SETTINGS = {"width": WIDTH, "epochs": EPOCHS, "examples": EXAMPLES}
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def digits() -> Any:
    """Return training and test digits, every pixel four times."""
    return [
        (np.kron(x, np.ones((1, 2, 2, 1), "float32")), y)
        for x, y in keras_kd.data.digits()
    ]


def trained(name: str) -> tuple[keras.Model, Any, Any]:
    """Train a student of a family; return it with its data."""
    keras.utils.set_random_seed(0)
    draw = partial(matrix_data.words, SENTENCES, EXAMPLES)
    (x, y), test = draw() if name.startswith("text") else digits()
    student = getattr(keras_kd.students, name)(x.shape[1:], 10, width=WIDTH)
    student.compile("adam", LOSS, metrics=["accuracy"])
    student.fit(x, y, batch_size=64, epochs=EPOCHS, verbose=0)
    return student, (x, y), test


def family(name: str) -> dict[str, Any]:
    """Train a student of a family, export it to int8, compare."""
    student, (x, _), (test_x, test_y) = trained(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "student.tflite"
        given = (student, path, "int8", x[:200])
        try:
            keras_kd.export.tflite(*given, verify=False, runtime="tflm")
            found = compared(path, test_x[:EXAMPLES])
        except keras_kd.ExportMismatchError as error:
            found = {"tflm": str(error).partition("refuses. ")[2]}
    accuracy = student.evaluate(test_x, test_y, verbose=0)[1]
    return {"accuracy": round(float(accuracy), 4), **found}


def aware(name: str) -> dict[str, Any]:
    """Train a student with rounding simulated; compare it with its file."""
    student, (x, y), (test_x, _) = trained(name)
    found = {}
    for simulated in ("litert", "tflm"):
        model = keras_kd.quantization.quantize_aware(student, runtime=simulated)
        model.compile(keras.optimizers.Adam(1e-4), LOSS)
        model.fit(x, y, batch_size=64, verbose=0)
        expected = model.predict(test_x[:EXAMPLES], verbose=0)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "student.tflite"
            keras_kd.export.tflite(model, path, "int8", verify=False)
            for runtime in runtimes.ON_TFLITE:
                file = LiteRTModel(path, runtime=runtime)
                [end] = file.output_details
                steps = np.rint(file.predict(test_x[:EXAMPLES]) / end.scale)
                own = np.rint(expected / end.scale)
                found[f"{simulated} in {runtime}"] = apart(steps, own)
    return found


def reference(path: Path) -> dict[str, Any]:
    """Compare a file of MLPerf Tiny."""
    [detail] = LiteRTModel(path).input_details
    shape = (EXAMPLES, *detail.shape[1:])
    if detail.shape[1:] == (32, 32, 3):
        _, (x, _) = matrix_data.images(64, EXAMPLES)
        stored = (np.rint(x * 255) - 128).astype("int8")
    else:
        generator = np.random.default_rng(0)
        stored = generator.integers(-128, 128, shape).astype("int8")
    return compared(path, stored, encoded=True)


def compared(path: Path, x: Any, *, encoded: bool = False) -> dict[str, Any]:
    """Run a file in every runtime; return the differences of each pair."""
    micro = LiteRTModel(path, runtime="tflm")
    [detail] = micro.input_details
    stored = x if encoded else detail.encode(x)
    outputs = {
        name: runtimes.get(name).run(path, [stored])[0].astype("int64")
        for name in runtimes.ON_TFLITE
    }
    pairs = {
        f"{one} / {other}": apart(outputs[one], outputs[other])
        for one, other in itertools.combinations(outputs, 2)
    }
    arena = micro.arena()
    return {
        "bytes": path.stat().st_size,
        "arena": arena and arena.bytes,
        "pairs": pairs,
    }


def apart(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Return how far two arrays of steps lie apart."""
    steps = np.abs(one - other)
    same = one.argmax(-1) == other.argmax(-1)
    return {
        "largest": int(steps.max()),
        "mean": round(float(steps.mean()), 4),
        "same_class": round(float(same.mean()), 4),
    }


def main() -> None:
    """Run the rows that are named, or all that are missing."""
    jobs = {name: partial(family, name) for name in FAMILIES}
    for name in FAMILIES:
        if not name.startswith("text"):
            jobs[f"aware {name}"] = partial(aware, name)
    folder = os.environ.get("KERAS_KD_MLPERF_TINY")
    for path in sorted(Path(folder).glob("*.tflite")) if folder else []:
        if "float32" not in path.name:
            jobs[path.name] = partial(reference, path)
    chosen = sys.argv[1:] or list(jobs)
    record.resumed("runtimes", SETTINGS, {name: jobs[name] for name in chosen})


if __name__ == "__main__":
    main()
