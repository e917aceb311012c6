"""`keras-kd losses`: lists the distillation losses."""

import inspect
import re
from dataclasses import asdict
from dataclasses import dataclass
from typing import Annotated

import typer

from keras_kd.cli.printing import Json
from keras_kd.cli.printing import print_json
from keras_kd.cli.printing import print_table
from keras_kd.cli.quiet import load_tensorflow


@dataclass(frozen=True)
class Method:
    """One distillation loss, as a row of the table.

    Attributes:
        name: Name for the argument `losses`.
        loss: The class in `keras_kd.losses`.
        kind: `"logit"`, `"feature"` or `"relation"`.
        summary: The first sentence of its documentation.
        reference: Where it was published.
    """

    name: str
    loss: str
    kind: str
    summary: str
    reference: str


def losses(
    as_json: Json = False,
    as_markdown: Annotated[
        bool,
        typer.Option("--markdown", help="Print the table of docs/losses.md."),
    ] = False,
) -> None:
    """List the distillation losses."""
    rows = methods()
    if as_json:
        print_json([asdict(row) for row in rows])
    elif as_markdown:
        typer.echo(markdown(rows))
    else:
        print_table(
            ["name", "class", "kind"],
            [(row.name, row.loss, row.kind) for row in rows],
        )


def methods() -> list[Method]:
    """Return a description of every loss of the package."""
    load_tensorflow()
    from keras_kd.losses import METHODS

    return [
        Method(
            name=name,
            loss=cls.__name__,
            kind=cls.kind,
            summary=_summary(inspect.getdoc(cls) or ""),
            reference=_reference(inspect.getdoc(cls) or ""),
        )
        for name, cls in METHODS.items()
    ]


def markdown(rows: list[Method]) -> str:
    """Return the table of docs/losses.md."""
    lines = ["| loss | kind | what it does | reference |", "|---|---|---|---|"]
    for row in rows:
        cells = [f"`{row.loss}`", row.kind, row.summary, row.reference]
        escaped = (cell.replace("|", r"\|") for cell in cells)
        lines.append(f"| {' | '.join(escaped)} |")
    return "\n".join(lines)


def _summary(documentation: str) -> str:
    return " ".join(documentation.partition("\n\n")[0].split())


def _reference(documentation: str) -> str:
    """Return the first sentence of the section `Reference`."""
    section = re.search(
        r"^Reference:\n((?:[ \t]+.*\n|\n)+)", documentation + "\n", re.M
    )
    if section is None:
        return ""
    text = " ".join(section[1].split())
    # The full stop of "et al." does not end the sentence.
    return re.split(r"(?<! al)\.(?:\s|$)", text)[0]
