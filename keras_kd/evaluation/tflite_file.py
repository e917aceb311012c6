"""Reads and writes the contents of a `.tflite` file without running it.

Only this module and `export.conversion.repairs`, which edits operators, know
the format's schema. It uses LiteRT's generated classes and not
`ai_edge_litert.tools.flatbuffer_utils`, which is missing from LiteRT 2.0. That
reader also drops empty buffers, so that a file that is read and written again
would have another hash than its card says.
"""

import functools
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

# Bytes 4 to 7 of a LiteRT file.
_IDENTIFIER = b"TFL3"
# Options with which an operator refers to other graphs that it runs.
_CALLS = (
    "condSubgraphIndex",
    "bodySubgraphIndex",
    "thenSubgraphIndex",
    "elseSubgraphIndex",
)


@dataclass(frozen=True)
class FileTensor:
    """One tensor of a `.tflite` file.

    Args:
        name: Name in the graph.
        dtype: Type, such as `"float32"` or `"int4"`.
        shape: Shape for a batch of one.
        open_shape: Shape with `None` for sizes that the file leaves open.
        scales: Quantization steps, one or one per channel; empty if the
            tensor is not quantized.
        zero_points: Integers that stand for 0.0, one per scale.
        buffer: Index of the buffer with the values.
        stored: Whether the values are stored in the file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    open_shape: tuple[int | None, ...]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    buffer: int
    stored: bool

    @property
    def elements(self) -> int:
        """Number of values, for a batch of one."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def is_weight(self) -> bool:
        """Whether the tensor is a weight.

        A stored tensor is a weight if it is floating point or quantized;
        sizes, axes and other integers are not weights.
        """
        real = self.dtype.startswith(("float", "bfloat"))
        return self.stored and (real or bool(self.scales))


@dataclass(frozen=True)
class FileOperator:
    """One operator of a `.tflite` file.

    Args:
        name: Name in the schema, or a custom operator's own name.
        inputs: Indices of the input tensors, without omitted optional ones.
        outputs: Indices of the output tensors.
        activation: Whether an activation function is fused into the operator.
        graphs: Indices of the graphs that the operator runs, such as the body
            of a loop.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: bool
    graphs: tuple[int, ...]


@dataclass(frozen=True)
class FileGraph:
    """One graph of a `.tflite` file, with operators in execution order."""

    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def layer(self, operator: FileOperator) -> str:
        """Return the layer that an operator comes from, as far as is known.

        Tensors are named by the converter, `model/layer/operation`. The
        file's own outputs have other names; then an input's name tells.
        """
        tensors = [*operator.outputs, *reversed(operator.inputs)]
        names = [self.tensors[tensor].name.split(";")[0] for tensor in tensors]
        for parts in (name.split("/") for name in names):
            if len(parts) > 2:
                return "/".join(parts[:-1])
        return names[0] if names else operator.name


@dataclass(frozen=True)
class TFLiteFile:
    """The contents of a `.tflite` file.

    Args:
        graphs: The graphs; the first is the model.
        inputs: Tensor index by input name; empty if the file has no
            signature.
        outputs: Tensor index by output name; empty without a signature.
    """

    graphs: tuple[FileGraph, ...]
    inputs: dict[str, int]
    outputs: dict[str, int]

    @property
    def operators(self) -> list[str]:
        """Operator names of all graphs, in execution order."""
        return [op.name for graph in self.graphs for op in graph.operators]

    @property
    def weight_dtypes(self) -> dict[str, int]:
        """Number of stored weights by type; shared weights count once."""
        weights = {
            tensor.buffer: tensor
            for graph in self.graphs
            for tensor in graph.tensors
            if tensor.is_weight
        }
        totals: dict[str, int] = {}
        for tensor in weights.values():
            count = totals.get(tensor.dtype, 0) + tensor.elements
            totals[tensor.dtype] = count
        return totals


def looks_whole(content: bytes) -> bool:
    """Tell whether bytes begin like a LiteRT file."""
    return content[4:8] == _IDENTIFIER


def read_file(content: bytes) -> TFLiteFile:
    """Read the bytes of a `.tflite` file.

    A damaged file may raise any error, so let the runtime load it first.
    """
    model = unpack(content)
    names = [_operator_name(code) for code in model.operatorCodes]
    signature = model.signatureDefs[0] if model.signatureDefs else None
    return TFLiteFile(
        tuple(
            FileGraph(
                tuple(_tensor(model, tensor) for tensor in graph.tensors),
                tuple(_operator(names, op) for op in _listed(graph.operators)),
                _numbers(graph.inputs),
                _numbers(graph.outputs),
            )
            for graph in model.subgraphs
        ),
        _ends(signature.inputs) if signature else {},
        _ends(signature.outputs) if signature else {},
    )


def inlined(content: bytes) -> bytes:
    """Return a file's bytes with every buffer inside the flatbuffer.

    In files of 256 kB or more, ai-edge-quantizer stores the weights behind the
    flatbuffer, at offsets that are wrong once something is added to it.

    Args:
        content: The bytes of a `.tflite` file. They are returned unchanged if
            all buffers are inside already.
    """
    model = unpack(content)
    # A buffer inside the flatbuffer has offset 0.
    outside = [buffer for buffer in model.buffers if buffer.offset > 1]
    for buffer in outside:
        end = buffer.offset + buffer.size
        buffer.data = np.frombuffer(content[buffer.offset : end], np.uint8)
        buffer.offset = buffer.size = 0
    return pack(model) if outside else content


def with_input_grid(content: bytes, scale: float, zero_point: int) -> bytes:
    """Return a file's bytes with other quantization of its first input.

    The operator behind the input converts from this grid to its own.

    Args:
        content: The bytes of a `.tflite` file.
        scale: Step of the input, above 0.
        zero_point: Integer that stands for 0.0.
    """
    model = unpack(content)
    graph = model.subgraphs[0]
    quantized = graph.tensors[graph.inputs[0]].quantization
    quantized.scale = np.array([scale], np.float32)
    quantized.zeroPoint = np.array([zero_point], np.int64)
    return pack(model)


def alone(content: bytes) -> Iterator[tuple[FileGraph, FileOperator, bytes]]:
    """Yield every operator of a file in a file of its own.

    What the operator reads and is not stored is an input of its file.
    Operators that run other graphs are left out.

    Args:
        content: The bytes of a whole file.
    """
    read = read_file(content)
    model = unpack(content)
    for graph, known in zip(model.subgraphs, read.graphs, strict=True):
        for operator, described in zip(
            _listed(graph.operators), known.operators, strict=True
        ):
            if not described.graphs:
                yield known, described, _alone(model, graph, operator)


def _alone(model: Any, graph: Any, operator: Any) -> bytes:
    """Return a file of one operator, with the tensors that it uses."""
    from ai_edge_litert import schema_py_generated as schema

    one, single, kept = schema.ModelT(), schema.SubGraphT(), copy(operator)
    places: dict[int, int] = {-1: -1}
    one.version, one.buffers, single.tensors = 3, [schema.BufferT()], []
    for end in ("inputs", "outputs", "intermediates"):
        for index in map(int, _listed(getattr(operator, end))):
            if index not in places:
                places[index] = len(single.tensors)
                tensor = copy(graph.tensors[index])
                one.buffers.append(model.buffers[tensor.buffer])
                tensor.buffer = len(one.buffers) - 1
                single.tensors.append(tensor)
        numbers = [places[int(i)] for i in _listed(getattr(operator, end))]
        setattr(kept, end, np.array(numbers, np.int32))
    one.operatorCodes = [model.operatorCodes[operator.opcodeIndex]]
    kept.opcodeIndex = 0
    single.operators, single.outputs = [kept], kept.outputs
    single.inputs = np.array(
        [
            place
            for place in kept.inputs
            if place >= 0
            and not single.tensors[place].isVariable
            and not len(_listed(one.buffers[place + 1].data))
        ],
        np.int32,
    )
    one.subgraphs = [single]
    return pack(one)


def embed(content: bytes, name: str, text: str | bytes) -> bytes:
    """Return a file's bytes with a text added, or other bytes.

    The text goes into the metadata, a list of named buffers that runtimes
    ignore. Unpacking and packing a file gives the same bytes again, so `split`
    can remove the text and restore the original file byte for byte.

    Args:
        content: The bytes of a `.tflite` file.
        name: Name of the text. An existing text of that name is replaced.
        text: Any text or bytes.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(split(content, name)[0])
    buffer = schema.BufferT()
    value = text.encode("utf-8") if isinstance(text, str) else text
    buffer.data = np.frombuffer(value, np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name = name
    entry.buffer = len(model.buffers) - 1
    model.metadata = [*_listed(model.metadata), entry]
    return pack(model)


def split(content: bytes, name: str) -> tuple[bytes, str | None]:
    """Return a file's bytes without a text, and the text.

    Args:
        content: The bytes of a `.tflite` file.
        name: Name of the text. If there is none, `None` is returned for it.
    """
    model = unpack(content)
    entries = _listed(model.metadata)
    # `embed` puts its text last; a text elsewhere comes from other tools.
    last = len(model.buffers) - 1
    ours = entries and entries[-1].buffer == last
    if not ours or entries[-1].name != name.encode("utf-8"):
        return content, None
    text = bytes(model.buffers.pop().data).decode("utf-8")
    model.metadata = entries[:-1] or None
    return pack(model), text


def unpack(content: bytes) -> Any:
    """Return a file's bytes as the schema's `ModelT`."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))


def pack(model: Any) -> bytes:
    """Return a `ModelT` as the bytes of a file."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


@functools.cache
def _names(enumeration: str) -> dict[int, str]:
    """Return the names of one of the schema's enumerations by value."""
    from ai_edge_litert import schema_py_generated as schema

    values = vars(getattr(schema, enumeration))
    return {v: name for name, v in values.items() if not name.startswith("_")}


def _operator_name(code: Any) -> str:
    if code.customCode:
        return str(code.customCode.decode())
    # Files from before 2020 have the number only in the deprecated field.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return _names("BuiltinOperator").get(number, f"OPERATOR_{number}")


def _operator(names: list[str], operator: Any) -> FileOperator:
    options = operator.builtinOptions
    return FileOperator(
        names[operator.opcodeIndex],
        _numbers(operator.inputs),
        _numbers(operator.outputs),
        bool(getattr(options, "fusedActivationFunction", 0)),
        tuple(getattr(options, x) for x in _CALLS if hasattr(options, x)),
    )


def _tensor(model: Any, tensor: Any) -> FileTensor:
    buffer = model.buffers[tensor.buffer]
    shape = tuple(int(size) for size in _listed(tensor.shape))
    signed = tensor.shapeSignature
    quantized = tensor.quantization
    return FileTensor(
        name=(tensor.name or b"").decode("utf-8"),
        dtype=_names("TensorType")[tensor.type].lower(),
        shape=tuple(map(abs, shape)),
        open_shape=tuple(
            None if size < 0 else int(size)
            for size in (shape if signed is None else signed)
        ),
        scales=tuple(map(float, _listed(quantized and quantized.scale))),
        zero_points=tuple(map(int, _listed(quantized and quantized.zeroPoint))),
        buffer=tensor.buffer,
        # Above 2 GB the values are stored behind the flatbuffer, and only
        # the size is set.
        stored=bool(len(_listed(buffer.data)) or buffer.size > 1),
    )


def _ends(entries: Any) -> dict[str, int]:
    """Return the tensors of a signature's inputs or outputs by their names."""
    return {e.name.decode("utf-8"): e.tensorIndex for e in _listed(entries)}


def _numbers(tensors: Any) -> tuple[int, ...]:
    """Return tensor indices without those of omitted inputs, which are -1."""
    return tuple(int(number) for number in _listed(tensors) if number >= 0)


def _listed(vector: Any) -> Any:
    """Return a vector of the schema, with a list for an empty one (`None`)."""
    return [] if vector is None else vector
