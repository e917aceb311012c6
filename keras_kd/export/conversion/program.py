"""What runs in the process that converts.

It needs nothing but TensorFlow and LiteRT: the student comes as a SavedModel.

`process` starts it as `python program.py PID`. It does one job after the other
for the process PID: a line with the path of a job's file comes in, a line with
the exit code goes out, and it ends when that process does. `parent` writes the
file: `saved_models` (folder by quantization), `calibration` (`.npy` path by
input name), `uint8` (whether integer files take bytes) and `outputs` (file
path by quantization). Each file that is made is run once. A conversion that
fails writes `error.json` beside the job's file and exits with 1.
"""

import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

# Operators, and the type of inputs and outputs, by quantization.
_INTEGER = {
    "int8": (tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.int8),
    "int16x8": (
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
        tf.int16,
    ),
}
# Share of the weights that stay in 8 bits in a 4-bit file: the file grows by a
# tenth, and convolutions, which lose most in their first layers, keep classes.
_IN_8_BITS = 0.15


def convert(
    saved_model: str,
    quantization: str,
    calibration: dict[str, np.ndarray],
    uint8: bool = False,
) -> bytes:
    """Convert a SavedModel to the bytes of a `.tflite` file.

    Only LiteRT's own operators are allowed: devices have no others.

    Args:
        saved_model: The folder.
        quantization: `"float32"`, `"float16"`, `"dynamic_range"`, `"int8"`,
            `"int16x8"`, `"int4_weights"`, or `"mixed_int8"`: what fake
            quantization in the graph says, and the rest in float32.
        calibration: Examples by input name; used for `"int8"` and
            `"int16x8"`. Empty where the graph itself holds the ranges, in
            fake quantization.
        uint8: Whether an `"int8"` file takes bytes, 0 to 255.
    """
    if quantization == "int4_weights":
        return _int4_weights(convert(saved_model, "float32", {}))
    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model)
    if quantization != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization in _INTEGER:
        operators, dtype = _INTEGER[quantization]
        if calibration:
            if uint8:
                calibration = _over_all_bytes(calibration)
            converter.representative_dataset = _one_by_one(calibration)
            converter.target_spec.supported_ops = [operators]
        converter.inference_input_type = tf.uint8 if uint8 else dtype
        converter.inference_output_type = dtype
    return converter.convert()


def _int4_weights(content: bytes) -> bytes:
    """Round the weights of a float file to 4 bits, one scale a channel.

    Clipped where the squared error is least (OCTAV: Sakr et al. 2022, arXiv
    2206.06501). Depthwise kernels get 8 bits, as LiteRT has no 4-bit ones,
    and so do the smallest layers: rounding them loses much and saves little.
    """
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.qtyping import TFLOperationName

    everything = TFLOperationName.ALL_SUPPORTED
    tool = quantizer.Quantizer(bytearray(content))
    tool.add_dynamic_config(
        ".*", everything, 4, algorithm_key=AlgorithmName.OCTAV
    )
    tool.add_dynamic_config(".*", TFLOperationName.DEPTHWISE_CONV_2D, 8)
    for name in _smallest_layers(content, _IN_8_BITS):
        tool.add_dynamic_config(f"^{re.escape(name)};", everything, 8)
    return bytes(tool.quantize().quantized_model)


def _smallest_layers(content: bytes, share: float) -> list[str]:
    """Return the outputs of the smallest layers of a float file.

    Args:
        content: The file.
        share: Of the weights in convolutions and dense layers, how much
            these layers may hold together.
    """
    from keras_kd.evaluation.tflite_file import read_file

    sizes = {
        graph.tensors[op.outputs[0]].name: graph.tensors[op.inputs[1]].elements
        for graph in read_file(content).graphs
        for op in graph.operators
        if op.name in ("CONV_2D", "FULLY_CONNECTED")
    }
    room = share * sum(sizes.values())
    smallest = []
    for name in sorted(sizes, key=lambda name: sizes[name]):
        room -= sizes[name]
        if room < 0:
            break
        smallest.append(name)
    return smallest


def _over_all_bytes(
    calibration: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Return float32 examples whose range is that of a byte.

    Then a step is 1 and zero is 0: the file takes the bytes as they are.
    Two values of one example are the least that makes it so.
    """
    ranged = {}
    for name, value in calibration.items():
        examples = value.astype("float32")
        examples[0].flat[[0, -1]] = 0.0, 255.0
        ranged[name] = examples
    return ranged


def _one_by_one(calibration: dict[str, np.ndarray]) -> Any:
    """Return what the converter calls: a function that makes an iterator."""

    def examples() -> Iterator[dict[str, np.ndarray]]:
        for i in range(len(next(iter(calibration.values())))):
            yield {key: value[i : i + 1] for key, value in calibration.items()}

    return examples


def do(job_path: str) -> int:
    """Do a job; return its exit code."""
    job = json.loads(Path(job_path).read_text("utf-8"))
    calibration = {
        name: np.load(path, allow_pickle=False)
        for name, path in job["calibration"].items()
    }
    for quantization, path in job["outputs"].items():
        try:
            content = convert(
                job["saved_models"][quantization],
                quantization,
                calibration,
                # int16 inputs hold bytes as they are.
                job["uint8"] and quantization == "int8",
            )
        # Whatever it is, the parent process words it.
        except Exception as error:
            _report(job_path, quantization, f"{type(error).__name__}: {error}")
            return 1
        Path(path).write_bytes(content)
        # Should it take this process with it, that is what is left to read.
        crashed = _report(job_path, quantization, None)
        _run_once(content)
        crashed.unlink()
    return 0


def _report(job_path: str, quantization: str, error: str | None) -> Path:
    """Write what went wrong; `None` for a crash of the runtime."""
    target = Path(job_path).with_name("error.json")
    report = {"quantization": quantization, "error": error}
    target.write_text(json.dumps(report), "utf-8")
    return target


def _run_once(content: bytes) -> None:
    """Run a file on zeros: LiteRT aborts on some that the converter makes.

    Errors that it raises are for the verification to word.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            zeros = np.zeros(detail["shape"], detail["dtype"])
            interpreter.set_tensor(detail["index"], zeros)
        interpreter.invoke()
    except (RuntimeError, ValueError):
        pass


def serve(parent: int) -> int:
    """Do the jobs that the parent process names; 0 when there are no more."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    # What TensorFlow prints must not come between the answers.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            answers.write(f"{do(line.strip())}\n")
            answers.flush()
    return 0


def _end_with(parent: int) -> None:
    """End this process with its parent, also where the pipe stays open."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(serve(int(sys.argv[1])))
