"""Class names where Android's Task Library and MediaPipe read them.

TFLite Metadata is a flatbuffer of its own schema, `metadata_schema.fbs` with
the identifier M001, in the metadata buffer `TFLITE_METADATA`. It refers to the
file `labels.txt`, which is in a zip archive behind the model's flatbuffer.
Only the tables needed for labels are written, all of schema version 1.0.0.
"""

import io
import zipfile
from typing import Any

from keras_kd.evaluation.tflite_file import FileTensor
from keras_kd.evaluation.tflite_file import embed
from keras_kd.evaluation.tflite_file import read_file
from keras_kd.export.context import Context

_BUFFER = "TFLITE_METADATA"
_IDENTIFIER = b"M001"
_VERSION = "1.0.0"
_LABELS = "labels.txt"
# Slots of the schema's tables: the numbers of their fields, from 0. A union
# has two, the number of its type and its table.
_MODEL = {"name": 0, "subgraph_metadata": 3, "min_parser_version": 7}
_GRAPH = {"input_tensor_metadata": 2, "output_tensor_metadata": 3}
_TENSOR = {"name": 0, "content": 3, "process_units": 4, "associated_files": 6}
_CONTENT = {"type": 0, "properties": 1}
_FEATURE, _IMAGE = 1, 2
_COLORS = {1: 2, 3: 1}  # by number of channels: GRAYSCALE, RGB
_UNIT = {"type": 0, "options": 1}
_NORMALIZATION = {"mean": 0, "std": 1}
_FILE = {"name": 0, "type": 2}
_TENSOR_AXIS_LABELS = 2

Table = dict[int, Any]


def with_metadata(context: Context, content: bytes) -> bytes:
    """Return a file's bytes with TFLite Metadata that names the labels file.

    Args:
        context: The student, and what else went into the file.
        content: The bytes of the file. They are returned unchanged without
            labels, or if the file has not one output of one value per label.
    """
    if not _is_labelled(context, content):
        return content
    return embed(content, _BUFFER, _packed(_model(context, content)))


def with_labels(context: Context, content: bytes) -> bytes:
    """Return a file's bytes with the labels file that its metadata names.

    Args:
        context: The student, and what else went into the file.
        content: The bytes of the file, returned unchanged without labels as
            for `with_metadata`.
    """
    if not _is_labelled(context, content):
        return content
    file = io.BytesIO(content)
    # Readers on devices map the labels into memory, so that they are stored
    # uncompressed. `ZipInfo` has a fixed date.
    with zipfile.ZipFile(file, "a") as archive:
        lines = "\n".join(context.labels or ()) + "\n"
        archive.writestr(zipfile.ZipInfo(_LABELS), lines.encode("utf-8"))
    return file.getvalue()


def _is_labelled(context: Context, content: bytes) -> bool:
    if context.labels is None:
        return False
    graph = read_file(content).graphs[0]
    shapes = [graph.tensors[index].shape for index in graph.outputs]
    return [shape[1:] for shape in shapes] == [(len(context.labels),)]


def _model(context: Context, content: bytes) -> Table:
    file = read_file(content)
    graph = file.graphs[0]
    names = {index: name for name, index in file.inputs.items()}
    inputs = [
        _input(context, names.get(index, ""), graph.tensors[index])
        for index in graph.inputs
    ]
    [kind] = context.output_kinds.values()
    output = {
        _TENSOR["name"]: kind or "scores",
        _TENSOR["content"]: _content(_FEATURE, {}),
        _TENSOR["associated_files"]: [
            {_FILE["name"]: _LABELS, _FILE["type"]: _TENSOR_AXIS_LABELS}
        ],
    }
    return {
        _MODEL["name"]: context.student.name,
        _MODEL["subgraph_metadata"]: [
            {
                _GRAPH["input_tensor_metadata"]: inputs,
                _GRAPH["output_tensor_metadata"]: [output],
            }
        ],
        _MODEL["min_parser_version"]: _VERSION,
    }


def _input(context: Context, name: str, tensor: FileTensor) -> Table:
    """Describe an input, and how readers normalize pixels from 0 to 255.

    A file that does not take raw values has no normalization: it is not known.
    """
    shape = tensor.open_shape
    color = _COLORS.get(shape[-1] or 0) if len(shape) == 4 else None
    content = _content(_IMAGE, {0: color}) if color else _content(_FEATURE, {})
    described = {_TENSOR["name"]: name, _TENSOR["content"]: content}
    if context.preprocess or tensor.dtype == "uint8":
        # Readers normalize, then quantize, which has to give the byte again.
        quantized = tensor.dtype == "uint8" and tensor.scales
        mean = float(tensor.zero_points[0]) if quantized else 0.0
        std = 1 / tensor.scales[0] if quantized else 1.0
        options = {_NORMALIZATION["mean"]: [mean], _NORMALIZATION["std"]: [std]}
        unit = {_UNIT["type"]: 1, _UNIT["options"]: options}
        described[_TENSOR["process_units"]] = [unit]
    return described


def _content(kind: int, properties: Table) -> Table:
    return {_CONTENT["type"]: kind, _CONTENT["properties"]: properties}


def _packed(table: Table) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(256)
    builder.Finish(_written(builder, table), _IDENTIFIER)
    return bytes(builder.Output())


def _written(builder: Any, value: Any) -> int:
    """Write a text, a list or a table, and return its offset.

    Args:
        builder: The flatbuffer's builder.
        value: A text, a list of floats or of tables, or a table: a dict with
            one of these, or a byte, by slot.
    """
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, list):
        numbers = isinstance(value[0], float)
        parts = value if numbers else [_written(builder, v) for v in value]
        builder.StartVector(4, len(parts), 4)
        # A flatbuffer is written from its end.
        for part in reversed(parts):
            if numbers:
                builder.PrependFloat32(part)
            else:
                builder.PrependUOffsetTRelative(part)
        return int(builder.EndVector())
    slots = {
        slot: part if isinstance(part, int) else _written(builder, part)
        for slot, part in value.items()
    }
    builder.StartObject(max(slots, default=-1) + 1)
    for slot, part in slots.items():
        if isinstance(value[slot], int):
            builder.PrependUint8Slot(slot, part, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, part, 0)
    return int(builder.EndObject())
