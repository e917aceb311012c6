"""The exported files: their checks, their rounding, how they were made."""

from typing import Any

from keras_kd.reporting import charts
from keras_kd.reporting import words
from keras_kd.reporting.contents import Contents
from keras_kd.reporting.contents import Figure
from keras_kd.reporting.contents import Section
from keras_kd.reporting.contents import Table
from keras_kd.reporting.contents import flat


def checks(contents: Contents) -> Section | None:
    """Tabulate how the files compare with the student they came from."""
    if not contents.verifications:
        return None
    found = contents.verifications
    table = Table(
        caption="Each file against the student that it was made from",
        columns=(
            "file",
            "kind",
            "checked on",
            "same choice",
            "largest difference",
            "allowed",
            "outcome",
        ),
        rows=[
            (
                str(check.path).rpartition("/")[2],
                check.kind,
                words.counted(check.num_examples, "example"),
                _or_dash(check.agreement, words.percent),
                _or_dash(check.max_abs_difference, words.number),
                _allowed(check),
                "passed" if check.passed else "not passed",
            )
            for check in found.values()
        ],
    )
    failed = [name for name, check in found.items() if not check.passed]
    said = (
        f"Not passed: {words.listed(failed)}."
        if failed
        else f"{'Each' if len(found) > 1 else 'The'} file was loaded by its "
        "runtime and behaves like the student."
    )
    return Section(title="Exported files", words=(said,), tables=(table,))


def layers(contents: Contents) -> Section | None:
    """Draw the layers of each file that lose most by rounding."""
    figures = []
    for name, losses in contents.rounding.items():
        if not losses:
            continue
        worst = losses[0]
        sentence = (
            f"{name}: layer {worst.layer} ({worst.operator}) adds most "
            f"rounding error, {words.percent(worst.added)} of the spread of "
            "its values."
        )
        drawn = charts.bars(
            sentence,
            "added error, share of the spread",
            [loss.layer for loss in losses],
            [loss.added for loss in losses],
        )
        table = Table(
            caption=f"Layers of {name} that lose most",
            columns=("layer", "operator", "error", "added by it"),
            rows=[
                (
                    loss.layer,
                    loss.operator,
                    words.percent(loss.error),
                    words.percent(loss.added),
                )
                for loss in losses
            ],
        )
        figures.append(Figure(sentence, drawn, table))
    return Section(title="Rounding", figures=figures) if figures else None


def made(contents: Contents) -> Section | None:
    """Tabulate how everything was made."""
    lines = tuple(flat(contents.made))
    if not lines:
        return None
    table = Table(
        caption="Versions, settings, data and files",
        columns=("what", "value"),
        rows=lines,
    )
    return Section(title="How it was made", tables=(table,))


def _allowed(check: Any) -> str:
    if check.output_range is None:
        return "–"
    return words.number(float(check.tolerance * check.output_range))


def _or_dash(value: float | None, word: Any) -> str:
    return "–" if value is None else word(value)
