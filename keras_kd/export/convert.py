"""The LiteRT converter, run as a program of its own.

The converter can crash or hang, so that it gets a process of its own, which
needs nothing but TensorFlow: the student comes as a SavedModel. Everything
that touches `tf.lite` is here.

Called as `python convert.py job.json` with the job written by
`keras_kd.export.child`: `saved_model`, `calibration` (`.npy` path by input
name) and `outputs` (file path by quantization). A conversion that fails
writes `error.json` beside the job and exits with 1.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf


def convert(
    saved_model: str, quantization: str, calibration: dict[str, np.ndarray]
) -> bytes:
    """Convert a SavedModel to the bytes of a `.tflite` file.

    Only LiteRT's own operators are allowed: devices have no others.

    Args:
        saved_model: The folder.
        quantization: `"float32"`, `"float16"`, `"dynamic_range"`, `"int8"`.
        calibration: Examples by input name; used for `"int8"`. Empty where
            the graph itself holds the ranges, in fake quantization.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model)
    if quantization != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization == "int8" and calibration:
        converter.representative_dataset = _one_by_one(calibration)
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        ]
    if quantization == "int8":
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    return converter.convert()


def _one_by_one(calibration: dict[str, np.ndarray]) -> Any:
    """Return what the converter calls: a function that makes an iterator."""

    def examples() -> Iterator[dict[str, np.ndarray]]:
        for i in range(len(next(iter(calibration.values())))):
            yield {key: value[i : i + 1] for key, value in calibration.items()}

    return examples


def main(job_path: str) -> int:
    """Do a job; return the exit code."""
    job = json.loads(Path(job_path).read_text("utf-8"))
    calibration = {
        name: np.load(path, allow_pickle=False)
        for name, path in job["calibration"].items()
    }
    for quantization, path in job["outputs"].items():
        try:
            content = convert(job["saved_model"], quantization, calibration)
        # Whatever it is, the parent process words it.
        except Exception as error:
            report = {
                "quantization": quantization,
                "error": f"{type(error).__name__}: {error}",
            }
            target = Path(job_path).with_name("error.json")
            target.write_text(json.dumps(report), "utf-8")
            return 1
        Path(path).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
