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
from keras_kd.core.checks import check_choice


@dataclass(frozen=True)
class Method:
    """One distillation loss, as a row of the table.

    Attributes:
        name: Name for the argument `losses`.
        loss: The class in `keras_kd.losses`.
        kind: `"logit"`, `"feature"` or `"relation"`.
        summary: The first sentence of its documentation.
        use: When to use it, when not, and what it costs.
        formula: Its value for one example.
        reference: Where it was published.
    """

    name: str
    loss: str
    kind: str
    summary: str
    use: str
    formula: str
    reference: str


def losses(
    name: Annotated[
        str | None,
        typer.Argument(help="Explain this loss: its use, formula and paper."),
    ] = None,
    as_json: Json = False,
    as_markdown: Annotated[
        bool,
        typer.Option("--markdown", help="Print the text of docs/losses.md."),
    ] = False,
) -> None:
    """List the distillation losses, or explain one."""
    rows = methods()
    if name is not None:
        check_choice("losses", "NAME", name, [row.name for row in rows])
        rows = [row for row in rows if row.name == name]
    if as_json:
        print_json([asdict(row) for row in rows])
    elif as_markdown:
        typer.echo(markdown(rows))
    elif name is not None:
        (row,) = rows
        paragraphs = [row.summary, row.use, row.formula, row.reference]
        typer.echo("\n\n".join(filter(None, paragraphs)))
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
        _described(name, cls.__name__, cls.kind, inspect.getdoc(cls) or "")
        for name, cls in METHODS.items()
    ]


def markdown(rows: list[Method]) -> str:
    """Return the text of docs/losses.md: a table, then each loss."""
    lines = ["| loss | kind | what it does | reference |", "|---|---|---|---|"]
    for row in rows:
        paper = _first_sentence(row.reference)
        cells = [f"`{row.loss}`", row.kind, row.summary, paper]
        escaped = (cell.replace("|", r"\|") for cell in cells)
        lines.append(f"| {' | '.join(escaped)} |")
    for row in rows:
        lines += ["", f"### {row.loss}", "", row.use, "", row.formula]
    return "\n".join(lines)


def _described(name: str, loss: str, kind: str, documentation: str) -> Method:
    """Return what the documentation of a class says, by its sections."""
    before, *sections = re.split(
        r"^(\w+):\n(?=[ \t])", documentation, flags=re.MULTILINE
    )
    said = dict(zip(sections[::2], sections[1::2], strict=True))
    summary, _, use = before.partition("\n\n")
    return Method(
        name=name,
        loss=loss,
        kind=kind,
        summary=" ".join(summary.split()),
        use=use.strip(),
        formula=inspect.cleandoc("\n" + said.get("Formula", "")).strip(),
        reference=" ".join(said.get("Reference", "").split()),
    )


def _first_sentence(text: str) -> str:
    # The full stop of "et al." does not end the sentence.
    return re.split(r"(?<! al)\.(?:\s|$)", text)[0]
