"""The card of a `.tflite` file: a JSON description in it and beside it."""

import dataclasses
import hashlib
import importlib.metadata
import json
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_kd.core.checks import requirement
from keras_kd.evaluation import runtimes
from keras_kd.evaluation.tflite_file import FileTensor
from keras_kd.evaluation.tflite_file import embed
from keras_kd.evaluation.tflite_file import inlined
from keras_kd.evaluation.tflite_file import looks_whole
from keras_kd.evaluation.tflite_file import read_file
from keras_kd.evaluation.tflite_file import split
from keras_kd.export.context import Context
from keras_kd.export.tflite_metadata import with_labels
from keras_kd.export.tflite_metadata import with_metadata

# Name of the metadata buffer.
_NAME = "keras_kd"
_FORMAT = 1
_SUBJECT = "export.read_card"
# The values of a layer with more than this (a mean image) are left out.
_MOST_VALUES = 100


def read_card(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the card of a `.tflite` file that this package made.

    The card is a JSON description of the file. It is stored in the
    flatbuffer's metadata under the name `keras_kd`, which runtimes ignore,
    and once more beside the file, as `student.tflite.json`. This function
    reads the one in the file, and compares the rest of the file with the hash
    in the card.

    Args:
        path: The file.

    Returns:
        `format` (1), `quantization`, `student` (`name`, `num_params`,
        `weights_sha256`), `inputs` and `outputs` (`name`, `shape`, `dtype`,
        `scale`, `zero_point`; a scale of 0 means not quantized),
        `output_kinds` (one for each output, `None` if unknown), `labels`,
        `preprocessing` (one dict per layer, in order, with up to 100 numbers
        under `values`), `arena` (as `keras_kd.evaluation.runtimes.Arena`, if
        TFLite Micro was among the runtimes of the export), `content_sha256`
        (of the file without the card) and `versions`.

    Raises:
        ValueError: If the file is missing, is not a LiteRT file, has no card
            or was changed after the export.

    Example:
    >>> import keras, keras_kd, tempfile
    >>> path = tempfile.mkdtemp() + "/student.tflite"
    >>> try:
    ...     keras_kd.export.read_card(path)
    ... except ValueError as error:
    ...     print(str(error).count("student.tflite"))
    1
    """
    content = _read(Path(path))
    try:
        rest, text = split(content, _NAME)
        card = None if text is None else json.loads(text)
    # A damaged flatbuffer may raise any error.
    except Exception as error:
        raise ValueError(_refusal(path, "It is damaged.")) from error
    if card is None:
        advice = "It has no card: `keras_kd.export.tflite` did not make it."
        raise ValueError(_refusal(path, advice))
    if hashlib.sha256(rest).hexdigest() != card["content_sha256"]:
        advice = "Its content was changed after the export."
        raise ValueError(_refusal(path, advice))
    return dict(card)


def add_card(context: Context, path: Path, quantization: str) -> None:
    """Put a card into a file, in place; and the labels, for Android.

    Args:
        context: The student, and what else went into the file.
        path: The converted file.
        quantization: Kind of the file.
    """
    content = with_metadata(context, inlined(path.read_bytes()))
    student = context.student
    card = {
        "format": _FORMAT,
        "quantization": quantization,
        "student": {
            "name": student.name,
            "num_params": student.count_params(),
            "weights_sha256": _weights_sha256(student),
        },
        **_ends(context, content),
        "output_kinds": list(context.output_kinds.values()),
        "labels": context.labels and list(context.labels),
        "preprocessing": [
            _described(layer)
            for layer in context.preprocess
            if isinstance(layer, keras.Layer)
        ],
        **_arena(context, content),
        "content_sha256": hashlib.sha256(content).hexdigest(),
        "versions": _versions(quantization),
    }
    text = json.dumps(card, separators=(",", ":"), ensure_ascii=False)
    path.write_bytes(with_labels(context, embed(content, _NAME, text)))


def card_text(path: Path) -> str:
    """Return the card of a file as the text to write beside it."""
    return json.dumps(read_card(path), indent=2, ensure_ascii=False) + "\n"


def card_path(path: Path) -> Path:
    """Return the path of the card beside a file."""
    return path.with_name(f"{path.name}.json")


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(
            requirement(_SUBJECT, "path", "an existing file", str(path))
        )
    content = path.read_bytes()
    if not looks_whole(content):
        raise ValueError(_refusal(path, "It does not begin as such files do."))
    return content


def _refusal(path: str | os.PathLike[str], advice: str) -> str:
    expected = "a whole `.tflite` file with a card"
    return requirement(_SUBJECT, "path", expected, os.fspath(path), advice)


def _ends(context: Context, content: bytes) -> dict[str, list[dict[str, Any]]]:
    """Describe inputs and outputs, with their names in the signature.

    They have the student's order; the file's own is alphabetical.
    """
    order = [spec.name for spec in context.signature.specs]
    order += context.output_kinds
    file = read_file(content)
    tensors = file.graphs[0].tensors
    return {
        kind: sorted(
            (_end(key, tensors[place]) for key, place in ends.items()),
            key=lambda end: order.index(end["name"]) if len(ends) > 1 else 0,
        )
        for kind, ends in (("inputs", file.inputs), ("outputs", file.outputs))
    }


def _end(name: str, tensor: FileTensor) -> dict[str, Any]:
    return {
        "name": name,
        "shape": list(tensor.open_shape),
        "dtype": tensor.dtype,
        "scale": tensor.scales[0] if tensor.scales else 0.0,
        "zero_point": tensor.zero_points[0] if tensor.zero_points else 0,
    }


def _arena(context: Context, content: bytes) -> dict[str, Any]:
    """Describe the arena, if the file is to run in TFLite Micro."""
    if "tflm" not in context.runtimes:
        return {}
    try:
        arena = runtimes.get("tflm").arena(content)
    except ValueError:
        return {}  # The check that follows refuses the file, and says why.
    return {"arena": dataclasses.asdict(arena)} if arena else {}


def _described(layer: keras.Layer) -> dict[str, Any]:
    """Describe a layer by its config, and its weights if they are few."""
    described = keras.saving.serialize_keras_object(layer)
    values = [np.asarray(weight).tolist() for weight in layer.get_weights()]
    fits = sum(np.size(value) for value in values) <= _MOST_VALUES
    return {
        "class": described["class_name"],
        "config": described["config"],
        "values": values if fits else None,
    }


def _weights_sha256(student: keras.Model) -> str:
    """Hash the types, shapes and values of all weights, in order."""
    digest = hashlib.sha256()
    for weight in student.get_weights():
        value = np.ascontiguousarray(weight)
        digest.update(f"{value.dtype.name}{value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _versions(quantization: str) -> dict[str, str]:
    import tensorflow as tf

    found = {
        "keras-kd": importlib.metadata.version("keras-kd"),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }
    if quantization == "int4_weights":
        name = "ai-edge-quantizer"
        found[name] = importlib.metadata.version(name)
    return found
