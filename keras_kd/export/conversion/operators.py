"""Words the refusal of operators that a file format lacks."""

import re
from collections.abc import Iterable

from keras_kd.core.keras_internals import flatten_layers
from keras_kd.export.context import Context


def lacking(
    context: Context, what: str, nodes: Iterable[tuple[str, str]]
) -> RuntimeError:
    """Return the error for operators that a format lacks.

    Args:
        context: The student.
        what: The format's kind of operator, such as `"LiteRT operator"`.
        nodes: Operator and name of each node, such as `"Erfinv"` and
            `"student_1/layer_1/Erfinv"`. The name may be empty.
    """
    names = {layer.name for layer in flatten_layers(context.model)}
    found: dict[str, set[str]] = {}
    for operator, node in nodes:
        found.setdefault(operator, set()).update(_layer(node, names))
    shown = ", ".join(
        operator + (f" (in {', '.join(sorted(places))})" if places else "")
        for operator, places in sorted(found.items())
    )
    return RuntimeError(
        f"`{context.subject}` failed: the converter has no {what} for "
        f"TensorFlow's {shown}. Replace the layers that use them."
    )


def _layer(node: str, names: set[str]) -> list[str]:
    """Return the innermost layer in a node's name, if there is one."""
    for part in reversed(node.split("/")[:-1]):
        # TensorFlow numbers a scope that it has seen before.
        for name in (part, re.sub(r"_\d+$", "", part)):
            if name in names:
                return [f"`{name}`"]
    return []
