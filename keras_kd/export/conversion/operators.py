"""Words the refusal of operators that a file format lacks."""

from collections.abc import Iterable

from keras_kd.export.context import Context
from keras_kd.export.layer_names import LayerNames


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
    names = LayerNames(context)
    found: dict[str, set[str]] = {}
    for operator, node in nodes:
        places = found.setdefault(operator, set())
        if layer := names.layer(node):
            places.add(f"`{layer}`")
    shown = ", ".join(
        operator + (f" (in {', '.join(sorted(places))})" if places else "")
        for operator, places in sorted(found.items())
    )
    return RuntimeError(
        f"`{context.subject}` failed: the converter has no {what} for "
        f"TensorFlow's {shown}. Replace the layers that use them."
    )
