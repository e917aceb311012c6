"""Text inside a `.tflite` file: a named metadata buffer of the flatbuffer.

The format has a list of named buffers that runtimes skip. Packing what was
unpacked gives the same bytes again, so that a text can be taken out and what
is left is, byte for byte, the file from before it was put in.
"""

from typing import Any

import numpy as np

_IDENTIFIER = b"TFL3"


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


def inlined(content: bytes) -> bytes:
    """Return a file's bytes with every buffer inside the flatbuffer.

    ai-edge-quantizer puts the weights of larger files, from 256 kB, behind
    it, at places that do not hold once something is added.

    Args:
        content: The bytes of a `.tflite` file; returned as they are where
            nothing is outside.
    """
    model = unpack(content)
    # A buffer that is inside has offset 0.
    outside = [buffer for buffer in model.buffers if buffer.offset > 1]
    for buffer in outside:
        end = buffer.offset + buffer.size
        buffer.data = np.frombuffer(content[buffer.offset : end], np.uint8)
        buffer.offset = buffer.size = 0
    return pack(model) if outside else content


def operator_name(code: Any) -> str:
    """Return the name of an operator code."""
    from ai_edge_litert import schema_py_generated as schema

    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    names = {v: k for k, v in vars(schema.BuiltinOperator).items()}
    return names.get(number, f"OPERATOR_{number}")


def embed(content: bytes, name: str, text: str) -> bytes:
    """Return a file's bytes with a text in it.

    Args:
        content: The bytes of a `.tflite` file.
        name: Name of the text; one of that name is replaced.
        text: Any text.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(split(content, name)[0])
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(text.encode("utf-8"), np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name = name
    entry.buffer = len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    return pack(model)


def split(content: bytes, name: str) -> tuple[bytes, str | None]:
    """Return a file's bytes without a text, and the text.

    Args:
        content: The bytes of a `.tflite` file.
        name: Name of the text; `None` is returned where there is none.
    """
    model = unpack(content)
    entries = model.metadata or []
    # `embed` puts it last; one put elsewhere by others is not ours.
    last = len(model.buffers) - 1
    ours = entries and entries[-1].buffer == last
    if not ours or entries[-1].name != name.encode("utf-8"):
        return content, None
    text = bytes(model.buffers.pop().data).decode("utf-8")
    model.metadata = entries[:-1] or None
    return pack(model), text
