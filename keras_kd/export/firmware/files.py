"""Fills in the templates: C++ for TensorFlow Lite Micro, and a README."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

import numpy as np

from keras_kd.evaluation.tflite_file import FileGraph
from keras_kd.evaluation.tflite_file import read_file
from keras_kd.export.firmware import c_text

_TEMPLATES = Path(__file__).parent / "templates"
FILES = tuple(sorted(path.name for path in _TEMPLATES.iterdir()))


@dataclass(frozen=True)
class Vectors:
    """Examples, and what TensorFlow Lite Micro gave for them.

    Args:
        given: One array per input, in the file's order.
        expected: One array per output, in the file's order.

    Shapes:
        given: `(examples, ...)`, in the types of the file.
        expected: `(examples, ...)`, in the types of the file.
    """

    given: Sequence[np.ndarray]
    expected: Sequence[np.ndarray]


def write_firmware(
    folder: Path,
    content: bytes,
    vectors: Vectors,
    *,
    arena_bytes: int,
    labels: Sequence[str] | None = None,
) -> None:
    """Write the files of a bundle around `model.tflite`, `FILES`.

    Args:
        folder: An existing folder; its name becomes the C++ namespace.
        content: The bytes of `model.tflite`.
        vectors: What the program on the device can check.
        arena_bytes: Bytes of the arena that the model needs.
        labels: Names of the classes.
    """
    file = read_file(content)
    graph = file.graphs[0]
    names = {place: name for name, place in file.inputs.items()}
    names |= {place: name for name, place in file.outputs.items()}
    operators = sorted(set(file.operators))
    given = _rows(vectors.given)
    expected = _rows(vectors.expected)
    values = {
        "namespace": c_text.namespace(folder.name),
        "folder": folder.name,
        "model_size": len(content),
        "model_bytes": c_text.array(content),
        "arena_size": arena_bytes,
        "most_dimensions": max(
            len(graph.tensors[place].shape)
            for place in (*graph.inputs, *graph.outputs)
        ),
        "inputs": _ends(graph, graph.inputs, names),
        "outputs": _ends(graph, graph.outputs, names),
        "labels": _labels(labels) if labels else "",
        "num_operators": len(operators),
        "registrations": "\n".join(map(_registration, operators)),
        "num_vectors": len(given),
        "input_bytes": len(given[0]),
        "output_bytes": len(expected[0]),
        "given": _braced(given),
        "expected": _braced(expected),
    }
    for name in FILES:
        template = Template((_TEMPLATES / name).read_text("utf-8"))
        (folder / name).write_text(template.substitute(values), "utf-8")


def _ends(
    graph: FileGraph, places: Sequence[int], names: dict[int, str]
) -> str:
    """Return the entries of an array of `TensorInfo`."""
    lines = []
    for place in places:
        tensor = graph.tensors[place]
        shape = ", ".join(map(str, tensor.shape))
        grid = "0.0f, 0"
        if tensor.scales:
            scale = c_text.number(tensor.scales[0])
            grid = f"{scale}, {tensor.zero_points[0]}"
        name = c_text.string(names.get(place, tensor.name))
        lines.append(
            f'    {{{name}, "{tensor.dtype}", {len(tensor.shape)}, '
            f"{{{shape}}}, {grid}}},"
        )
    return "\n".join(lines)


def _labels(labels: Sequence[str]) -> str:
    """Return the names of the classes as an enumeration and as texts."""
    enumerators = c_text.enumerators(labels)
    return "\n".join(
        [
            "\n// The classes: kLabels[i] is the name of class i.",
            "enum Label : int {",
            *(f"    {name} = {i}," for i, name in enumerate(enumerators)),
            "};",
            "constexpr const char* kLabels[] = {",
            *(f"    {c_text.string(label)}," for label in labels),
            "};\n",
        ]
    )


def _registration(operator: str) -> str:
    name = c_text.registration(operator)
    return f"  if (resolver.{name}() != kTfLiteOk) return kTfLiteError;"


def _rows(arrays: Sequence[np.ndarray]) -> list[bytes]:
    """Return the bytes of each example, one array behind the other."""
    return [
        b"".join(np.ascontiguousarray(value).tobytes() for value in example)
        for example in zip(*arrays, strict=True)
    ]


def _braced(rows: Sequence[bytes]) -> str:
    return ",\n".join(f"    {{\n{c_text.array(row)}\n    }}" for row in rows)
