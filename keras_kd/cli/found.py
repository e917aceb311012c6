"""Prints what `keras-kd search` found."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

import typer

from keras_kd.cli import printing
from keras_kd.cli.printing import print_rows
from keras_kd.core.progress import duration

if TYPE_CHECKING:
    from keras_kd.jobs.searching import Found

# Column headings of the costs, in the order of the columns.
_COSTS = {
    "size_bytes": "\nbytes",
    "latency_ms": "latency\nms",
    "num_params": "\nparameters",
    "flops": "\noperations",
    "peak_memory_bytes": "memory\nbytes",
    "arena_bytes": "arena\nbytes",
    "sram_bytes": "SRAM\nbytes",
}


def print_found(found: "Found", output: Path) -> None:
    """Print the summary, the Pareto front, the files and their folder."""
    typer.echo("\n".join(sentences(found)) + "\n")
    print_front(found)
    typer.echo("\n" + best_sentence(found) + "\n")
    print_rows(found.rows)
    taken = duration(found.seconds)
    typer.echo(f"\nFiles and results.json: {output}/ ({taken})")


def sentences(found: "Found") -> tuple[str, ...]:
    """Return sentences that explain the tables: data, budget, trials."""
    data, setting = found.data, found.setting
    statuses = [trial["status"] for trial in found.trials]
    failed = [trial for trial in found.trials if trial["status"] == "failed"]
    words = [
        f"{setting.dataset}: {data['num_train']:,} training, "
        f"{data['num_validation']:,} validation and {data['num_test']:,} "
        "test images; the search sees no test image.",
        f"Budget: {budget_words(setting.budget)}.",
        f"{len(statuses)} trials: {statuses.count('feasible')} trained, "
        f"{statuses.count('infeasible')} over the budget and not trained, "
        f"{len(failed)} failed.",
    ]
    if failed:
        words.append(f"The first failure: {failed[0]['reason']}")
    return tuple(words)


def budget_words(budget: Mapping[str, Any]) -> str:
    """Return a budget as text: its limits, then the kind of file."""
    units = {
        "size_bytes": "{:,} bytes",
        "latency_ms": "{:g} ms per image",
        "num_params": "{:,} parameters",
        "flops": "{:,} operations per image",
        "peak_memory_bytes": "{:,} bytes of activations",
        "arena_bytes": "{:,} bytes of arena",
        "sram_bytes": "{:,} bytes of SRAM",
    }
    limits = [
        text.format(budget[name])
        for name, text in units.items()
        if name in budget
    ]
    kind = budget.get("quantization", "float32")
    target = budget.get("target")
    made = f" compiled for {target}" if target else ""
    return f"{', '.join(limits)}, as a TFLite {kind} file{made}"


def print_front(found: "Found") -> None:
    """Print the trials of the Pareto front as a table."""
    trials = {trial["trial_id"]: trial for trial in found.trials}
    shown = [trials[trial_id] for trial_id in found.front]
    values = [n for n in shown[0]["values"] if not n.startswith("tuner/")]
    costs = [name for name in _COSTS if name in found.setting.budget]
    printing.print_table(
        (
            "the front\ntrial",
            *(f"\n{name}" for name in values),
            "validation\naccuracy",
            *(_COSTS[name] for name in costs),
            "",
        ),
        [
            (
                trial["trial_id"],
                *(_value(trial["values"].get(name)) for name in values),
                _accuracy(trial["objective"], trial["spread"]),
                *(_cost(name, trial[name]) for name in costs),
                "best" if trial["trial_id"] == found.best else "",
            )
            for trial in shown
        ],
    )


def best_sentence(found: "Found") -> str:
    """Return a sentence with the best trial and its test accuracy."""
    test = found.test
    accuracy = _accuracy(
        test["mean"]["accuracy"], test["spread"].get("accuracy")
    )
    count = len(test["executions"])
    trainings = f", mean of {count} trainings" if count > 1 else ""
    return (
        f"Best: trial {found.best}, test accuracy {accuracy}{trainings}; "
        "exported and loaded back:"
    )


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _accuracy(mean: float, spread: float | None) -> str:
    shown = printing.percent(mean)
    return shown if spread is None else f"{shown} ± {100 * spread:.1f}"


def _cost(name: str, value: float | None) -> str:
    return printing.measure(name, value)
