"""Fills the tables of docs/, and draws, from the results of the benchmarks.

python benchmarks/pages.py
"""

from collections.abc import Callable
from collections.abc import Collection
from pathlib import Path
from statistics import mean
from typing import Any

import defaults
import growth_page
import losses_digits
import method_rows
import peers
import record

from keras_kd.losses import METHODS

_REACHED = ("tflm", "float32")
DOCS = Path(__file__).parents[1] / "docs"


def defaults_table() -> str:
    """Return the gain over labels alone by alpha, temperature and task."""
    cells = record.read("defaults")["cells"]
    alone = {
        task: defaults.values(cells, task, defaults.ALONE)
        for task in defaults.TASKS
    }
    rows = [["", "mean", *alone]]
    for way, gained in defaults.gains(cells, defaults.TASKS).items():
        each = [
            f"{gained[task]:+.1f}" if task in gained else "" for task in alone
        ]
        rows.append([way, f"{mean(gained.values()):+.1f}", *each])
    accuracy = [_spread(found) for found in alone.values()]
    return _markdown([*rows, ["labels alone, %", "", *accuracy]])


def methods_table() -> str:
    """Return the accuracy that each method brings, in percent."""
    cells = record.read("losses_digits")["cells"]
    rows = [["loss", *losses_digits.SETTINGS]]
    for name in [losses_digits.ALONE, *method_rows.COMPARED]:
        method = METHODS.get(name)
        found = [
            _spread(defaults.values(cells, setting, name))
            for setting in losses_digits.SETTINGS
        ]
        rows.append([f"`{method.__name__}`" if method else name, *found])
    return _markdown(rows)


def costs_table() -> str:
    """Return the time of a step, and of a loss alone beside PyTorch's."""
    cells = record.read("loss_cost")["cells"]
    rows = [["loss", *(f"step, {size}" for size in cells)]]
    rows[0] += [f"of PyTorch's, {size}" for size in cells]
    for name in method_rows.COMPARED:
        row = [f"`{METHODS[name].__name__}`"]
        for kind in ("steps", "losses"):
            found = [cells[size][kind].get(name) for size in cells]
            row += [f"{each['ratio']:.2f}" if each else "" for each in found]
        rows.append(row)
    return _markdown(rows)


def peers_table() -> str:
    """Return the step, epoch, first step, memory and import of each way."""
    cells = record.read("peers")["cells"]
    rows = [["", "step", "epoch", "of student alone", "first step"]]
    rows[0] += ["peak memory", "import"]
    for name, pair in peers.PAIRS.items():
        seconds = cells[name]
        for way in (*peers.KERAS, *peers.TORCH):
            alone, epoch = cells[f"{name}, {way}"], seconds[way]
            imported = min(
                cells[f"{each}, {way}"]["import_seconds"]
                for each in peers.PAIRS
            )
            rows.append(
                [
                    f"{name}: {peers.NAMES[way]}",
                    f"{1000 * epoch / pair.steps:.2f} ms",
                    f"{epoch:.3f} s",
                    f"{epoch / seconds['student_alone']:.2f}",
                    f"{alone['first_step_seconds']:.2f} s",
                    f"{alone['peak_mb']:,.0f} MB",
                    f"{imported:.1f} s",
                ]
            )
    return _markdown(rows)


def peer_ratios_table() -> str:
    """Return the ratios of the pairs."""
    cells = record.read("peers")["cells"]
    found = {name: peers.ratios(cells[name]) for name in peers.PAIRS}
    rows = [["", *found]]
    for what in next(iter(found.values())):
        rows.append([what, *(f"{each[what]:.2f}" for each in found.values())])
    return _markdown(rows)


def mlperf_table() -> str:
    """Return what students of MLPerf Tiny's size reach as int8 files."""
    cells = record.read("mlperf_tiny")["cells"]
    rows = [["", "accuracy, %", "float32, %", "bytes", "arena, bytes", "MFLOP"]]
    by_row: dict[str, list[dict[str, float]]] = {}
    for cell, found in cells.items():
        task, _, row = cell.partition(" / ")
        if "tflm" in found:
            row = row.rpartition(" / ")[0] or row
            by_row.setdefault(f"{task}: {row}", []).append(found)
    for row, each in by_row.items():
        reached = [_of([found.get(key) for found in each]) for key in _REACHED]
        first = each[0]
        flops = f"{first['flops'] / 1e6:.1f}" if "flops" in first else ""
        limits = [f"{first[key]:,}" for key in ("bytes", "arena")]
        rows.append([row, *reached, *limits, flops])
    return _markdown(rows)


TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "defaults": ("benchmarks.md", defaults_table),
    "methods": ("losses.md", methods_table),
    "costs": ("losses.md", costs_table),
    "peer ratios": ("benchmarks.md", peer_ratios_table),
    "peers": ("benchmarks.md", peers_table),
    "growth": (
        "benchmarks.md",
        lambda: _markdown(growth_page.steps_table()),
    ),
    "growth of a cache": (
        "benchmarks.md",
        lambda: _markdown(growth_page.cache_table()),
    ),
    "slopes": (
        "benchmarks.md",
        lambda: _markdown(growth_page.slopes_table()),
    ),
    "imagenet": (
        "benchmarks.md",
        lambda: _markdown(growth_page.imagenet_table()),
    ),
    "mlperf_tiny": ("microcontrollers.md", mlperf_table),
}


def filled(name: str) -> str:
    """Return the page of a table, with the table as it was measured."""
    page, table = TABLES[name]
    before, rest = (DOCS / page).read_text("utf-8").split(f"<!-- {name} -->")
    _, after = rest.split(f"<!-- /{name} -->")
    return f"{before}<!-- {name} -->\n{table()}\n<!-- /{name} -->{after}"


def _spread(by_seed: dict[str, float]) -> str:
    return _of(by_seed.values())


def _of(found: Collection[Any]) -> str:
    if None in found:
        return ""
    text = f"{mean(found):.1f}"
    return f"{text} ± {defaults.spread(found):.1f}" if len(found) > 1 else text


def _markdown(rows: list[list[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    for name, (page, _) in TABLES.items():
        (DOCS / page).write_text(filled(name), "utf-8")
    growth_page.plot(DOCS / "growth.png")
