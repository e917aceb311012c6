"""One row of the export matrix: a student, its files, what they lose."""

import inspect
import tempfile
import time
from collections.abc import Callable
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from matrix_data import APPLICATION_SIDE
from matrix_data import BATCH
from matrix_data import LENGTH
from matrix_data import NUM_CLASSES
from matrix_data import enlarged
from matrix_data import images
from matrix_data import words

import keras_kd
from keras_kd import export
from keras_kd import students
from keras_kd.export.kinds import KINDS as DEMANDED

FAMILIES = [name for name in students.__all__ if name != "shrink"]
APPLICATIONS = sorted(
    name
    for name, member in vars(keras.applications).items()
    if inspect.isfunction(member) and name[0].isupper()
)
LITERT = (
    "float32",
    "float16",
    "dynamic_range",
    "int8",
    "int16x8",
    "int4_weights",
)
KINDS = (*LITERT, "saved_model", "onnx")
# The int8 file of a quantize-aware student.
AWARE = "int8_aware"
SIDE = 32
# 4000 examples and 3 epochs: past the first statistics of the batch
# normalizations, which move by 1 % a step.
TRAIN, EPOCHS = 4000, 3
CALIBRATION, VERIFIED = 200, 256
STEP_IMAGES, SMALL_CALIBRATION, SMALL_VERIFIED = 32, 100, 100
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def family(name: str) -> dict[str, Any]:
    """Train a family's member of width 1 briefly, and export every kind."""
    keras.utils.set_random_seed(0)
    text = name.startswith("text_")
    draw = words if text else images
    train, test = draw(TRAIN, VERIFIED)
    shape = (LENGTH,) if text else (SIDE, SIDE, 3)
    student = getattr(students, name)(shape, NUM_CLASSES)
    student.compile("adam", LOSS)
    start = time.perf_counter()
    student.fit(*train, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    trained = time.perf_counter() - start
    calibration = train[0][:CALIBRATION]
    row = {
        "params": student.count_params(),
        "training_seconds": round(trained, 1),
        **files(student, KINDS, calibration, test),
    }

    def more(aware: keras.Model) -> None:
        aware.compile(keras.optimizers.Adam(1e-4), LOSS)
        aware.fit(*train, batch_size=BATCH, epochs=1, verbose=0)

    return _with_aware(row, student, more, calibration, test)


def application(name: str) -> dict[str, Any]:
    """Shrink a classifier of Keras, distil one step, export to int8."""
    keras.utils.set_random_seed(0)
    build = getattr(keras.applications, name)
    x = enlarged(images(STEP_IMAGES + SMALL_CALIBRATION, SMALL_VERIFIED), build)
    side = APPLICATION_SIDE
    teacher = build(
        weights=None, input_shape=(side, side, 3), classes=NUM_CLASSES
    )
    row: dict[str, Any] = {"teacher_params": teacher.count_params()}
    start = time.perf_counter()
    student = students.shrink(teacher, width=0.25, num_classes=NUM_CLASSES)
    row["params"] = student.count_params()
    row["shrink_seconds"] = round(time.perf_counter() - start, 1)
    norms = _norms(student)
    for layer in norms:
        layer.momentum = 0.0
    start = time.perf_counter()
    row["loss"] = round(_one_step(teacher, student, x[0][:STEP_IMAGES]), 4)
    row["step_seconds"] = round(time.perf_counter() - start, 1)
    _steady(norms)
    if not np.isfinite(row["loss"]):
        raise ValueError(f"the loss of the step is {row['loss']}")
    # What one step taught has no classes to agree on: the default tolerances
    # without the share of equal classes.
    data: dict[str, Any] = {"dataset": x[1], "calibration": x[0][STEP_IMAGES:]}
    row |= files(student, ("float32", "int8"), classes=False, **data)

    def train(aware: keras.Model) -> None:
        for layer in _norms(aware):
            layer.trainable = False
        _one_step(teacher, aware, x[0][:STEP_IMAGES])

    return _with_aware(row, student, train, **data)


def _with_aware(
    row: dict[str, Any],
    student: keras.Model,
    train: Callable[[keras.Model], Any],
    calibration: Any,
    dataset: Any,
) -> dict[str, Any]:
    """Do what the error of a failed int8 file advises."""
    if row["files"]["int8"]["passed"]:
        return row
    aware = keras_kd.quantization.quantize_aware(student)
    train(aware)
    made = files(aware, ("int8",), calibration, dataset)
    found = made["files"]["int8"]
    if "bytes" in found:
        whole = row["files"]["float32"]["bytes"]
        found["ratio"] = round(found["bytes"] / whole, 4)
    row["files"][AWARE] = found
    return row


def _norms(model: keras.Model) -> list[Any]:
    kind = keras.layers.BatchNormalization
    return [
        layer for layer in model._flatten_layers() if isinstance(layer, kind)
    ]


def _one_step(teacher: keras.Model, student: keras.Model, x: Any) -> float:
    """Distil one step; return the loss."""
    distiller = keras_kd.Distiller(teacher, student, alpha=1.0)
    # A single step is not worth the tracing of a thousand layers.
    distiller.compile("adam", run_eagerly=True)
    logs = distiller.fit(x, batch_size=len(x), verbose=0)
    return float(logs.history["loss"][0])


def _steady(norms: list[Any]) -> None:
    """Let a random network's signals neither vanish nor grow.

    With the statistics it begins with, its outputs do not depend on its
    inputs, and any file would pass; with those of the step it amplifies
    what is rounded by some 20 % a layer (Yang et al. 2019, arXiv
    1902.08129), and none would. Divided by the root mean square, without a
    shift, it is as He et al. 2015 begin.
    """
    for layer in norms:
        mean, variance = layer.moving_mean, layer.moving_variance
        variance.assign(variance + mean**2)
        mean.assign(0.0 * mean)


def files(
    student: keras.Model,
    kinds: Iterable[str],
    calibration: Any,
    dataset: Any,
    *,
    classes: bool = True,
) -> dict[str, Any]:
    """Export a student's kinds and compare each file with it.

    Args:
        student: A model.
        kinds: Kinds of files.
        calibration: Inputs.
        dataset: Other inputs, or a pair with their labels.
        classes: Whether a file that rounds has to pick the same classes.
    """
    start = time.perf_counter()
    x = dataset[0] if isinstance(dataset, tuple) else dataset
    logits = np.asarray(student(x, training=False))
    spread = float(logits.std(axis=0).mean())
    with tempfile.TemporaryDirectory() as folder:
        paths = {kind: Path(folder) / _file_name(kind) for kind in kinds}
        refused = _write(student, paths, calibration)
        rows = {
            kind: {"passed": False, "reason": refused[kind]}
            if kind in refused
            else _compared(
                partial(
                    export.verify,
                    path,
                    student,
                    dataset,
                    tolerance=None if classes else DEMANDED[kind].tolerance,
                ),
                spread,
            )
            for kind, path in paths.items()
        }
    base = rows.get("float32", {}).get("bytes")
    for found in rows.values():
        if base and "bytes" in found:
            found["ratio"] = round(found["bytes"] / base, 4)
    seconds = round(time.perf_counter() - start, 1)
    picked = len(set(logits.argmax(-1)))
    return {"classes_picked": picked, "seconds": seconds, "files": rows}


def _file_name(kind: str) -> str:
    if kind in LITERT:
        return f"{kind}.tflite"
    return "student.onnx" if kind == "onnx" else kind


def _write(
    student: keras.Model, paths: dict[str, Path], calibration: Any
) -> dict[str, str]:
    """Write all files; return what was refused, and why."""
    lite = {kind: path for kind, path in paths.items() if kind in LITERT}
    refused = write_lite(student, lite, calibration)
    for kind in paths.keys() - lite.keys():
        try:
            getattr(export, kind)(student, paths[kind], verify=False)
        except (RuntimeError, ValueError) as error:
            refused[kind] = _reason(error)
    return refused


def write_lite(
    student: keras.Model, paths: dict[str, Path], calibration: Any
) -> dict[str, str]:
    """Write `.tflite` files; return what was refused, and why.

    All in one child process where all can be made, else each in its own, so
    that a refused one takes no other with it.
    """
    try:
        export.tflite_files(student, paths, calibration, verify=False)
        return {}
    except (RuntimeError, ValueError) as error:
        if len(paths) == 1:
            return {next(iter(paths)): _reason(error)}
    refused = {}
    for kind, path in paths.items():
        refused |= write_lite(student, {kind: path}, calibration)
    return refused


def _compared(
    verify: Callable[[], export.Verification], spread: float
) -> dict[str, Any]:
    """Return the numbers of a file, and why it does not pass."""
    reason = None
    try:
        found = verify()
    except export.ExportMismatchError as error:
        reason = _reason(error)
        found = getattr(error, "verification", None)
    if found is None:
        return {"passed": False, "reason": reason}
    row = {
        "bytes": found.size_bytes,
        "max_difference": _share(found.max_abs_difference, found.output_range),
        "mean_difference_of_spread": _share(found.mean_abs_difference, spread),
        "agreement": round(found.agreement, 4),
        "passed": found.passed,
    }
    if found.accuracy_difference is not None:
        row["accuracy"] = round(found.accuracy, 4)
        row["accuracy_difference"] = round(found.accuracy_difference, 4)
    return row if reason is None else {**row, "reason": reason}


def _share(value: float, whole: float) -> float:
    return float(f"{value / whole:.3g}") if whole else float("nan")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())
