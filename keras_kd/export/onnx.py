"""Export to the ONNX format."""

import importlib
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from keras_kd.core.files import check_writable
from keras_kd.core.files import staged
from keras_kd.core.imports import optional
from keras_kd.core.keras_internals import traceable_operations
from keras_kd.export.context import Context
from keras_kd.export.context import read_context
from keras_kd.export.conversion.operators import lacking
from keras_kd.export.conversion.precision import float32_arithmetic
from keras_kd.export.conversion.recurrent import portable
from keras_kd.export.examples import verification_examples
from keras_kd.export.kinds import Demands
from keras_kd.export.lookups import check_no_lookups
from keras_kd.export.signature import named_outputs
from keras_kd.export.verification import Verification
from keras_kd.export.verify import check_file
from keras_kd.export.verify import check_tolerance

_SUBJECT = "export.onnx"
_PURPOSE = f"`{_SUBJECT}`"


def onnx(
    student: Any,
    path: str | os.PathLike[str],
    *,
    verify: Any = None,
    tolerance: float | None = None,
    preprocess: Any = None,
) -> Verification:
    """Export a student as an ONNX file that is proved to behave alike.

    For ONNX Runtime, and for servers and tools that read ONNX; use `tflite`
    for devices. Keras converts the student with tf2onnx. An older file at
    `path` is replaced only after ONNX Runtime has loaded the new one and its
    outputs were compared with the student's. Needs the extra `onnx`.

    Args:
        student: A built `keras.Model`, or a `keras_kd.Distiller`, whose
            student is exported. A student that computes in float16 or
            bfloat16 is exported in float32.
        path: The file to write, ending in `.onnx`.
        verify: Data to compare on, in any form that `fit` takes. Defaults to
            256 random inputs from a fixed seed. With `False` nothing is
            compared, and `passed` is False in the result.
        tolerance: Largest difference, as a share of the range of the
            student's outputs. Defaults to 1e-4 (see `verify`).
        preprocess: Layers that the file applies to its inputs before the
            student (see `tflite`).

    Returns:
        The `Verification` of the file.

    Raises:
        TypeError: If `student` is not a Keras model.
        ValueError: If `student` is not built or has lookups in it, or if
            `path` does not end in `.onnx`.
        ImportError: If a package of the extra `onnx` is missing.
        OSError: If `path` cannot be written to.
        RuntimeError: If the student has operations that tf2onnx cannot
            convert.
        ExportMismatchError: If the file does not behave like the student.

    Example:
    >>> import keras, keras_kd
    >>> student = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> try:
    ...     keras_kd.export.onnx(student, "student.tflite")
    ... except ValueError as error:
    ...     print(str(error).count("ends in"))
    1
    """
    context = read_context(_SUBJECT, student, preprocess=preprocess)
    if Path(path).suffix != ".onnx" or Path(path).is_dir():
        expected = "the name of a file that ends in `.onnx`"
        raise context.refusal("path", expected, str(path))
    check_no_lookups(context, "an ONNX", (keras.layers.Discretization,))
    check_tolerance(context, tolerance)
    check_writable(path)
    for package in ("onnx", "onnxruntime", "tf2onnx"):
        optional(package, "onnx", _PURPOSE)
    examples = verification_examples(context, verify)
    with staged(path) as scratch:
        with float32_arithmetic(context.model):
            _write(context, scratch)
        return check_file(
            context,
            scratch,
            examples,
            Demands(tolerance),
            target=Path(path),
        )


def _write(context: Context, path: Path) -> None:
    """Write the file with the signature's names, without checking it."""
    specs = context.signature.in_float32().tensor_specs(None)
    # tf2onnx numbers the nodes that it inserts, starting where its last file
    # ended, and sorts nodes by name: `a__10` comes before `a__9`. Resetting
    # the counter gives the same order each time.
    tf2onnx_utils: Any = importlib.import_module("tf2onnx.utils")
    tf2onnx_utils.INTERNAL_NAME = 1
    try:
        with (
            warnings.catch_warnings(),
            traceable_operations(),
            portable(context.model),
        ):
            warnings.filterwarnings("ignore", category=FutureWarning)
            # Keras refuses to export a student that was built but never called.
            outputs = context.model(_symbolic(specs[0]))
            context.model.export(
                path, format="onnx", verbose=False, input_signature=specs
            )
    except OSError:
        raise
    # tf2onnx may raise any error at an unknown operator.
    except Exception as error:
        raise RuntimeError(
            f"`{_SUBJECT}` failed: the converter refused the student. It "
            f"said: {' '.join(str(error).split())[:600]}"
        ) from error
    _rename(context, path, outputs)


def _symbolic(specs: Any) -> Any:
    return keras.tree.map_structure(
        lambda spec: keras.KerasTensor(spec.shape, spec.dtype.name), specs
    )


def _rename(context: Context, path: Path, outputs: Any) -> None:
    """Give a file's tensors and nodes names that are the same each time.

    Raises:
        RuntimeError: If the file has operators that ONNX lacks, which
            tf2onnx leaves as they are.
    """
    package: Any = optional("onnx", "onnx", _PURPOSE)
    model = package.load(path)
    graph = model.graph
    unknown = [
        (node.op_type, node.name)
        for node in graph.node
        if not node.domain and not package.defs.has(node.op_type)
    ]
    if unknown:
        raise lacking(context, "ONNX operator", unknown)
    graph.doc_string = ""  # contains a trace counter
    order = list(named_outputs(outputs))
    if isinstance(outputs, Mapping) and len(order) > 1:
        # Of a dict, tf2onnx keeps the names; of a list, the order.
        graph.output.sort(key=lambda item: order.index(item.name))
    names = _OnnxNames(
        dict(zip([item.name for item in graph.output], order, strict=True)),
        {item.name for item in graph.initializer},
    )
    for node in graph.node:
        node.name = names[node.name]
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    for item in [*graph.initializer, *graph.input, *graph.output]:
        item.name = names[item.name]
    for end in [*graph.input, *graph.output]:
        for size in end.type.tensor_type.shape.dim[:1]:
            if size.dim_param:
                size.dim_param = "batch"
    uses = dict.fromkeys(name for node in graph.node for name in node.input)
    place = {name: number for number, name in enumerate(uses)}
    graph.initializer.sort(key=lambda item: place.get(item.name, len(place)))
    path.write_bytes(model.SerializeToString(deterministic=True))


class _OnnxNames:
    """Maps tf2onnx's names to names that are the same each time.

    tf2onnx numbers the nodes that it inserts, `name__7`, starting where its
    last file ended; here numbers start at 1, in the order of the file. Of
    several equal constants it keeps one, under the name of any of them; here
    all constants are called `constant__7` and so on.
    """

    def __init__(self, outputs: dict[str, str], stored: set[str]) -> None:
        self._outputs = outputs
        self._stored = stored
        self._numbers: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        if name in self._outputs:
            return self._outputs[name]
        if name in self._stored:
            name = re.sub(r"^.*(?=__\d+$)", "constant", name)
        return re.sub(r"(?<=__)\d+", self._renumbered, name)

    def _renumbered(self, number: re.Match[str]) -> str:
        following = str(len(self._numbers) + 1)
        return self._numbers.setdefault(number[0], following)
