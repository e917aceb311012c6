"""Opens exported files of any format for comparison."""

from collections import Counter
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np

from keras_kd.core.imports import optional
from keras_kd.evaluation import runtimes
from keras_kd.evaluation.litert import LiteRTModel
from keras_kd.evaluation.runtimes import ON_TFLITE
from keras_kd.evaluation.runtimes import UnusableFileError
from keras_kd.evaluation.tflite_file import read_file
from keras_kd.export.kinds import MIXED

Arrays = Mapping[str, np.ndarray]

# Kind of a `.tflite` file with float inputs and outputs, by weight type.
_BY_WEIGHTS = {
    "int4": "int4_weights",
    "int8": "dynamic_range",
    "float16": "float16",
}


@dataclass(frozen=True)
class OpenedFile:
    """A file that can be run.

    Args:
        kind: `"saved_model"`, `"onnx"`, or the quantization found in a
            `.tflite` file.
        predict: Function from inputs by name to outputs by name.
        inputs: Type by input name.
        outputs: Type by output name.
        steps: Quantization step by output name; 0.0 for floats.
        weight_dtypes: Number of stored weights by type; empty for a
            SavedModel.
        operators: Number of operators by name; empty for a SavedModel.
        ranges: Smallest and largest value by name of a quantized input.
        output_kinds: What the file's card says of its outputs, in order;
            empty without a card.
        runtime: Name of the runtime; `None` for a SavedModel.
        arena_bytes: Smallest arena, for a runtime that has one.
    """

    kind: str
    predict: Callable[[Arrays], Arrays]
    inputs: dict[str, str]
    outputs: dict[str, str]
    steps: dict[str, float]
    weight_dtypes: dict[str, int]
    operators: dict[str, int]
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    output_kinds: tuple[str | None, ...] = ()
    runtime: str | None = None
    arena_bytes: int | None = None


def open_file(
    path: Path, subject: str, runtime: str | None = None
) -> OpenedFile:
    """Open a SavedModel folder, an `.onnx` or a `.tflite` file.

    Args:
        path: The file or folder.
        subject: Public function that the user called, for error messages.
        runtime: The runtime that runs the file; `None` for the usual one.

    Raises:
        ImportError: If a package of an extra is missing.
        UnusableFileError: If the file is missing, damaged or of another
            format, or the runtime lacks operators of it.
    """
    if path.is_dir():
        return _open_saved_model(path, subject)
    if path.suffix == ".onnx":
        return _open_onnx(path, subject)
    return _open_tflite(path, runtime or "litert")


def fitting_runtimes(path: Path) -> tuple[str, ...]:
    """Return the runtimes that run a format, the usual one first.

    A SavedModel has none: TensorFlow runs it.
    """
    if path.is_dir():
        return ()
    return ("onnxruntime",) if path.suffix == ".onnx" else ON_TFLITE


def _open_tflite(path: Path, runtime: str) -> OpenedFile:
    model = LiteRTModel(path, runtime=runtime)
    arena = model.arena()
    inputs = {d.name: d.dtype for d in model.input_details}
    outputs = {d.name: d.dtype for d in model.output_details}

    def predict(arrays: Arrays) -> Arrays:
        single = next(iter(arrays.values())) if len(inputs) == 1 else arrays
        found = model.predict(single)
        return (
            found if isinstance(found, dict) else {next(iter(outputs)): found}
        )

    return OpenedFile(
        kind=_kind(model, path),
        predict=predict,
        inputs=inputs,
        outputs=outputs,
        steps={d.name: d.scale for d in model.output_details},
        weight_dtypes=model.weight_dtypes,
        operators=dict(Counter(model.operators)),
        ranges={d.name: d.limits for d in model.input_details if d.scale},
        output_kinds=model.output_kinds,
        runtime=runtime,
        arena_bytes=arena.bytes if arena else None,
    )


def _kind(model: LiteRTModel, path: Path) -> str:
    """Tell how a file was quantized from its types and operators."""
    ends = [*model.input_details, *model.output_details]
    if any(detail.scale for detail in ends):
        if any(detail.dtype == "float32" for detail in ends):
            return MIXED
        # Bytes without a scale may go into layers in float32.
        plain = [detail.dtype for detail in ends if not detail.scale]
        if "uint8" in plain and _computes_in_floats(path):
            return MIXED
        wide = any(detail.dtype == "int16" for detail in ends)
        return "int16x8" if wide else "int8"
    # Floats become integers inside, or biases are integers.
    if "QUANTIZE" in model.operators or "int32" in model.weight_dtypes:
        return MIXED
    for dtype, kind in _BY_WEIGHTS.items():
        if dtype in model.weight_dtypes:
            return kind
    return "float32"


def _computes_in_floats(path: Path) -> bool:
    """Tell whether any operator but a conversion gives float32."""
    return any(
        graph.tensors[index].dtype == "float32"
        for graph in read_file(path.read_bytes()).graphs
        for operator in graph.operators
        if operator.name != "CAST"
        for index in operator.outputs
    )


def _open_onnx(path: Path, subject: str) -> OpenedFile:
    onnx = optional("onnx", "onnx", f"`{subject}` with an ONNX file")
    optional("onnxruntime", "onnx", f"`{subject}` with an ONNX file")
    try:
        model = onnx.load(path)
        session: Any = runtimes.get("onnxruntime").open(path.read_bytes())
    # The runtime's errors have no common base class.
    except Exception as error:
        raise UnusableFileError(
            subject,
            path,
            "a whole ONNX file that ONNX Runtime can load",
            f"It said: {str(error)[:300]}",
        ) from error
    inputs, outputs = session.inputs, session.outputs

    def predict(arrays: Arrays) -> Arrays:
        if len(inputs) == 1:
            arrays = dict(zip(inputs, arrays.values(), strict=True))
        found = session.run([arrays[name] for name in inputs])
        return dict(zip(outputs, found, strict=True))

    weights: Counter[str] = Counter()
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype.kind == "f":
            weights[values.dtype.name] += values.size
    return OpenedFile(
        kind="onnx",
        predict=predict,
        inputs=inputs,
        outputs=outputs,
        steps=dict.fromkeys(outputs, 0.0),
        weight_dtypes=dict(weights),
        operators=dict(Counter(node.op_type for node in model.graph.node)),
        runtime="onnxruntime",
    )


def _open_saved_model(path: Path, subject: str) -> OpenedFile:
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(path))
        run = loaded.signatures["serving_default"]
    # A damaged folder may raise any error.
    except Exception as error:
        raise UnusableFileError(
            subject,
            path,
            "a whole SavedModel folder",
            f"It does not load: {str(error)[:300]}",
        ) from error
    specs = run.structured_input_signature[1]
    outputs = run.structured_outputs

    def predict(arrays: Arrays) -> Arrays:
        if len(specs) == 1:
            arrays = dict(zip(specs, arrays.values(), strict=True))
        # Not `run`: this keeps `loaded`, and so the variables, alive.
        found = loaded.signatures["serving_default"](
            **{k: tf.constant(v, specs[k].dtype) for k, v in arrays.items()}
        )
        return {key: value.numpy() for key, value in found.items()}

    return OpenedFile(
        kind="saved_model",
        predict=predict,
        inputs={name: spec.dtype.name for name, spec in specs.items()},
        outputs={name: spec.dtype.name for name, spec in outputs.items()},
        steps=dict.fromkeys(outputs, 0.0),
        weight_dtypes={},
        operators={},
    )
