"""Output of the commands: tables for people, JSON for programs."""

import json
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Any

import typer

from keras_kd.core import words

if TYPE_CHECKING:
    from keras_kd.evaluation import Evaluation
    from keras_kd.jobs.measuring import Row

_COLUMNS = (
    "\nmodel",
    "\naccuracy",
    "same as\nteacher",
    "\nbytes",
    "latency\np50 ms",
    "\np95 ms",
    "largest\nerror",
)

Json = Annotated[
    bool, typer.Option("--json", help="Print JSON instead of a table.")
]

_SHARES = ("accuracy", "student_accuracy", "top5_accuracy", "agreement")


def print_json(content: Any) -> None:
    """Print JSON, and nothing else, on standard output."""
    typer.echo(json.dumps(content, indent=2, allow_nan=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their columns; all but the first are right-aligned.

    Args:
        columns: Heading of each column.
        rows: Cells, as text.
    """
    from rich.console import Console
    from rich.table import Table

    # Wide enough that no cell is truncated, even on a narrow terminal.
    console = Console(width=10_000)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(
            column, justify="right" if index else "left", no_wrap=True
        )
    for row in rows:
        table.add_row(*row)
    console.print(table, highlight=False)


def print_rows(rows: "tuple[Row, ...]") -> None:
    """Print the rows as a table."""
    print_table(
        _COLUMNS,
        [
            (
                row.model,
                percent(row.accuracy),
                percent(row.agreement),
                number(row.size_bytes),
                number(row.latency_ms_p50),
                number(row.latency_ms_p95),
                number(row.largest_difference),
            )
            for row in rows
        ],
    )


def print_evaluations(evaluations: "Mapping[str, Evaluation]") -> None:
    """Print measurements, one model a row."""
    print_table(
        _COLUMNS[:-1],
        [
            (
                name,
                percent(found.accuracy),
                percent(found.agreement),
                number(found.size_bytes),
                number(found.latency_ms_p50),
                number(found.latency_ms_p95),
            )
            for name, found in evaluations.items()
        ],
    )


def print_check(check: Mapping[str, Any], as_json: bool) -> None:
    """Print the result of a verification as a table or as JSON."""
    if as_json:
        print_json(check)
        return
    print_table(
        ("verified", ""),
        [
            (name, measure(name, value))
            for name, value in check.items()
            if value not in (None, {})
        ],
    )


def print_report(page: Path | None) -> None:
    """Print where the report is, if there is one."""
    if page is not None:
        typer.echo(f"Report: {page}")


def percent(value: float | None) -> str:
    """Format a share as a percentage with one decimal; `None` as ""."""
    return "" if value is None else f"{value:.1%}"


def number(value: float | None) -> str:
    """Format a number with three significant digits; `None` as ""."""
    return "" if value is None else words.number(value)


def measure(name: str, value: Any) -> str:
    """Format a measurement: a share, a number or a dict of counts."""
    if isinstance(value, dict) and name == "runtimes":
        return "; ".join(_difference(*item) for item in value.items())
    if isinstance(value, dict) and name == "npu":
        return (
            f"{value['path']}: {value['sram_bytes']:,} bytes of SRAM, "
            f"{value['milliseconds']:.3g} ms at {value['clock_mhz']:g} MHz, "
            f"{value['npu_share']:.0%} of the operators on the NPU"
        )
    if isinstance(value, dict):
        return ", ".join(f"{count:,} {key}" for key, count in value.items())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    if name in _SHARES:
        return percent(value)
    return number(value)


def _difference(runtime: str, found: Mapping[str, Any]) -> str:
    """Format how far a file in one runtime is from its student."""
    parts = [f"off by {number(found['max_abs_difference'])}"]
    if found["steps"] is not None:
        parts.append(f"{found['steps']:.1f} steps")
    if found["agreement"] is not None:
        parts.append(f"same class on {percent(found['agreement'])}")
    return f"{runtime}: {', '.join(parts)}"
