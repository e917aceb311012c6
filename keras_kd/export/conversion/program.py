"""The program of the child process that converts.

The student comes as a SavedModel, so this program needs only TensorFlow and
LiteRT, and the quantizer for 4-bit weights.

The job's file, written by `parent`, is JSON with `saved_models` (folder
by quantization), `calibration` (`.npy` path by input name), `uint8` (whether
int8 files take bytes), `uint8_outputs` (whether integer outputs are bytes),
`float_outputs` (whether mixed files give float32) and `outputs` (file path by
quantization). The program runs each converted file
once. If a conversion fails, it writes `error.json`
beside the job's file and answers 1.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_kd.core.child import serve

# Operator set, and type of inputs and outputs, by quantization.
_INTEGER = {
    "int8": (tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.int8),
    "int16x8": (
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
        tf.int16,
    ),
}
# Share of the weights that stay in 8 bits in a 4-bit file. The file grows by a
# tenth, but convolutional students, whose first layers lose most, then keep
# their predicted classes.
_IN_8_BITS = 0.15


def convert(
    saved_model: str,
    quantization: str,
    calibration: dict[str, np.ndarray],
    *,
    uint8: bool = False,
    uint8_outputs: bool = False,
    float_outputs: bool = True,
) -> bytes:
    """Convert a SavedModel to the bytes of a `.tflite` file.

    Only LiteRT's own operators are allowed: devices have no others.

    Args:
        saved_model: The folder.
        quantization: `"float32"`, `"float16"`, `"dynamic_range"`, `"int8"`,
            `"int16x8"`, `"int4_weights"`, or `"mixed_int8"`: int8 for layers
            with fake quantization in the graph, the rest in float32.
        calibration: Examples by input name, used for `"int8"` and
            `"int16x8"`. Empty if the graph contains the ranges, as fake
            quantization.
        uint8: Whether an `"int8"` file takes bytes, 0 to 255.
        uint8_outputs: Whether outputs in int8 are bytes instead.
        float_outputs: Whether a `"mixed_int8"` file gives float32, not int8.
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
        converter.inference_output_type = tf.uint8 if uint8_outputs else dtype
    if quantization == "mixed_int8" and not float_outputs:
        converter.inference_output_type = tf.uint8 if uint8_outputs else tf.int8
    return converter.convert()


def _int4_weights(content: bytes) -> bytes:
    """Round the weights of a float file to 4 bits, with one scale per channel.

    Weights are clipped where the squared error is smallest (OCTAV: Sakr et al.
    2022, arXiv 2206.06501). Depthwise kernels get 8 bits, because LiteRT has
    no 4-bit ones. So do the smallest layers, where 4 bits would lose much
    accuracy and save little.
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
        share: Share of all weights in convolutions and dense layers that the
            returned layers may hold together.
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

    The file's input then has step 1 and zero point 0, and takes bytes as they
    are. For that it suffices to change two values of one example.
    """
    ranged = {}
    for name, value in calibration.items():
        examples = value.astype("float32")
        examples[0].flat[[0, -1]] = 0.0, 255.0
        ranged[name] = examples
    return ranged


def _one_by_one(calibration: dict[str, np.ndarray]) -> Any:
    """Return a representative dataset: a function that makes an iterator."""

    def examples() -> Iterator[dict[str, np.ndarray]]:
        for i in range(len(next(iter(calibration.values())))):
            yield {key: value[i : i + 1] for key, value in calibration.items()}

    return examples


def do(job_path: str) -> int:
    """Run a job; return its exit code."""
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
                # Of the integer files, only int8 ones take bytes.
                uint8=job["uint8"] and quantization == "int8",
                uint8_outputs=job["uint8_outputs"],
                float_outputs=job["float_outputs"],
            )
        # The parent process words every error.
        except Exception as error:
            _report(job_path, quantization, f"{type(error).__name__}: {error}")
            return 1
        Path(path).write_bytes(content)
        # If the file crashes this process, the parent reads this report.
        crashed = _report(job_path, quantization, None)
        _run_once(content)
        crashed.unlink()
    return 0


def _report(job_path: str, quantization: str, error: str | None) -> Path:
    """Write the report of a failure; `error` is `None` for a runtime crash."""
    target = Path(job_path).with_name("error.json")
    report = {"quantization": quantization, "error": error}
    target.write_text(json.dumps(report), "utf-8")
    return target


def _run_once(content: bytes) -> None:
    """Run a file on zeros, because some converted files make LiteRT abort.

    Python exceptions are ignored here; the verification reports them.
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


if __name__ == "__main__":
    sys.exit(serve(do))
