"""Writes names, texts, numbers and bytes as C++."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

_BYTES_PER_LINE = 12
# Names that do not follow from the schema's by capitals alone.
_REGISTRATIONS = {
    "BATCH_MATMUL": "AddBatchMatMul",
    "CUMSUM": "AddCumSum",
    "PADV2": "AddPadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
}


def namespace(name: str) -> str:
    """Return a C++ namespace for a name.

    Behind its prefix, no name is a keyword, a macro or a function of C.

    >>> namespace("3d-class")
    'model_3d_class'
    """
    return "_".join(["model", *_words(name)])


def enumerators(labels: Sequence[str]) -> list[str]:
    """Return a different C++ name for each label.

    >>> enumerators(["caffè latte", "3d", "3d", "?"])
    ['kLabelCaffeLatte', 'kLabel3d', 'kLabel3d_2', 'kLabelNumber3']
    """
    seen: Counter[str] = Counter()
    names = []
    for i, label in enumerate(labels):
        words = _words(label) or [f"number{i}"]
        name = "kLabel" + "".join(w[0].upper() + w[1:] for w in words)
        seen[name] += 1
        # No other name has an underscore.
        names.append(f"{name}_{seen[name]}" if seen[name] > 1 else name)
    return names


def registration(operator: str) -> str:
    """Return the method of `MicroMutableOpResolver` that adds an operator.

    Args:
        operator: Name in the schema.

    >>> registration("DEPTHWISE_CONV_2D")
    'AddDepthwiseConv2D'
    """
    regular = "Add" + re.sub(
        r"_?(\d?)([A-Z])([A-Z]*)",
        lambda found: found[1] + found[2] + found[3].lower(),
        operator,
    )
    return _REGISTRATIONS.get(operator, regular)


def string(text: str) -> str:
    r"""Return a text as a C++ string literal of ASCII characters, in UTF-8.

    >>> print(string('caffè "3d"'))
    "caff\303\250 \0423d\042"
    """
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')  # ?? begins a trigraph
    escaped = (
        chr(byte) if byte in plain else f"\\{byte:03o}"
        for byte in text.encode("utf-8")
    )
    return f'"{"".join(escaped)}"'


def number(value: float) -> str:
    """Return a float32 as a C++ literal that reads back as the same value.

    >>> number(0.003921568859368563)
    '0.003921569f'
    """
    return f"{np.float32(value)!s}f"


def array(content: bytes) -> str:
    """Return bytes as the lines between the braces of a C++ array."""
    lines = (
        content[at : at + _BYTES_PER_LINE]
        for at in range(0, len(content), _BYTES_PER_LINE)
    )
    return "\n".join(
        "    " + " ".join(f"0x{byte:02x}," for byte in line) for line in lines
    )


def _words(text: str) -> list[str]:
    """Return the words of a text in ASCII letters and digits."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore")
    return re.findall(r"[A-Za-z0-9]+", plain.decode())
