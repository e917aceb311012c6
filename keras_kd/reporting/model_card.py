"""Writes a model card in Markdown beside each exported file."""

import re
from pathlib import Path
from typing import Any

from keras_kd.core.files import write_text
from keras_kd.core.imports import optional
from keras_kd.export.card import card_path
from keras_kd.export.card import read_card
from keras_kd.reporting import words
from keras_kd.reporting.contents import Contents
from keras_kd.reporting.contents import flat
from keras_kd.reporting.measures import COLUMNS
from keras_kd.reporting.measures import cell
from keras_kd.reporting.measures import value_of


def write_cards(contents: Contents) -> list[Path]:
    """Write a card beside every file that `keras_kd.export.tflite` made.

    Args:
        contents: What the report is made from.

    Returns:
        The cards: `student.tflite.md` for `student.tflite`.

    Raises:
        ValueError: If a file was changed after its export.
    """
    written = []
    for row, check in contents.verifications.items():
        path = Path(check.path)
        if card_path(path).exists():
            beside = path.with_name(f"{path.name}.md")
            write_text(beside, _text(contents, row, check, path))
            written.append(beside)
    return written


def _text(contents: Contents, row: str, check: Any, path: Path) -> str:
    jinja2 = optional("jinja2", "report", "`keras_kd.report`")
    # Markdown is no HTML: the filter `cell` escapes what it would read as
    # markup.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["cell"] = escaped
    card = read_card(path)
    found = contents.evaluations[row]
    teacher = contents.evaluations[contents.teacher]
    measures = [
        (column.heading, cell(found, column), cell(teacher, column))
        for column in COLUMNS
        if value_of(found, column) is not None
    ]
    said = (
        f"Loaded by its runtime and compared with the Keras student on "
        f"{words.counted(check.num_examples, 'example')}: "
        f"{'passed' if check.passed else 'not passed'}."
    )
    made = {
        **card["versions"],
        "weights sha256": card["student"]["weights_sha256"],
        "content sha256": card["content_sha256"],
        **contents.made,
    }
    return str(
        environment.get_template("model_card.md").render(
            card=card,
            file=path.name,
            teacher=contents.teacher,
            measures=measures,
            check=said,
            made=flat(made),
            words=words,
        )
    )


def escaped(text: Any) -> str:
    r"""Return text for one cell of a Markdown table.

    Example:
    >>> from keras_kd.reporting.model_card import escaped
    >>> escaped("a|b <i>")
    'a\\|b \\<i\\>'
    """
    one_line = " ".join(str(text).split())
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", one_line)
