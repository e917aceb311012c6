"""What a runtime cannot run, in words."""

import dataclasses
import os
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass

from keras_kd.core.checks import requirement

# Layers that a message names for one operator.
_MOST_LAYERS = 3


@dataclass(frozen=True)
class Lacking:
    """An operator of a file that a runtime cannot run.

    Args:
        operator: The operator's name in the file, such as `"GELU"`.
        dtypes: Types of its inputs, such as `("float32", "int8")`.
        layer: The layer that it comes from, as the file names it:
            `"student_1/block_1/hidden_1/Gelu"`.
        reason: What the runtime says about it.
        instead: What to use instead.
    """

    operator: str
    dtypes: tuple[str, ...]
    layer: str
    reason: str
    instead: str


def worded(found: Sequence[Lacking]) -> str:
    """Return a sentence for each operator that is lacking, with its layers.

    Example:
    >>> from keras_kd.evaluation.runtimes.refusals import Lacking, worded
    >>> gelu = Lacking("GELU", ("int8",), "act", "no such", "use relu6")
    >>> worded([gelu, dataclasses.replace(gelu, layer="act_1")])
    'It lacks GELU of int8 in `act`, `act_1` (no such): use relu6.'
    """
    layers: dict[Lacking, dict[str, None]] = {}
    for one in found:
        places = layers.setdefault(dataclasses.replace(one, layer=""), {})
        places[f"`{one.layer}`"] = None
    sentences = []
    for one, places in layers.items():
        where = ", ".join([*places][:_MOST_LAYERS])
        if len(places) > _MOST_LAYERS:
            where += f" and {len(places) - _MOST_LAYERS} more"
        types = ", ".join(one.dtypes)
        sentences.append(
            f"It lacks {one.operator} of {types} in {where} ({one.reason}): "
            f"{one.instead}."
        )
    return " ".join(sentences)


class UnusableFileError(ValueError):
    """A runtime does not run a file.

    Args:
        subject: Class or function to name in the error.
        path: The file or folder.
        expected: What the file has to be.
        reason: What is wrong with it, and what to do.
        lacking: The operators that the runtime lacks, which then are the
            reason.
    """

    def __init__(
        self,
        subject: str,
        path: str | os.PathLike[str],
        expected: str,
        reason: str = "",
        lacking: Sequence[Lacking] = (),
    ) -> None:
        self.expected = expected
        self.reason = worded(lacking) if lacking else reason
        self.lacking = lacking
        super().__init__(
            requirement(subject, "path", expected, str(path), self.reason)
        )

    def retold(
        self,
        subject: str,
        path: str | os.PathLike[str],
        named: Callable[[str], str],
    ) -> "UnusableFileError":
        """Return the error in the user's words.

        Args:
            subject: The function that the user called.
            path: The path that the user gave.
            named: Function from the name of a layer in the file to the
                user's name of it.
        """
        found = [
            dataclasses.replace(one, layer=named(one.layer))
            for one in self.lacking
        ]
        return UnusableFileError(
            subject, path, self.expected, self.reason, found
        )
