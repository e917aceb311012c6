"""The settings and results of `keras-kd search`, and how they are printed."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from keras_kd.cli import printing
from keras_kd.cli.measuring import Row
from keras_kd.cli.measuring import print_rows
from keras_kd.core.progress import duration

# Column headings of the costs, in the order of the columns.
_COSTS = {
    "size_bytes": "\nbytes",
    "latency_ms": "latency\nms",
    "num_params": "\nparameters",
    "flops": "\noperations",
    "peak_memory_bytes": "memory\nbytes",
}


@dataclasses.dataclass(frozen=True)
class SearchSetting:
    """The settings of a search.

    Attributes:
        teacher: The teacher's file.
        dataset: Name for `keras_kd.data.load`.
        budget: The arguments of the `keras_kd.Budget`.
        student: `"shrink"`, or a family of `keras_kd.students`.
        tuner: Name of the oracle that proposes trials.
        max_trials: Maximum number of trials.
        epochs: Epochs per trial.
        executions_per_trial: Training runs per trial.
        batch_size: Examples per step.
        learning_rate: Adam's first learning rate; it decays along a cosine.
        max_train: Training images to keep; `None` keeps all.
        seed: Seed of the proposals, the weights and the order.
        scale: Range of the pixels; `None` finds the teacher's.
        teacher_output: What the teacher returns; `None` if its file tells.
    """

    teacher: str
    dataset: str
    budget: Mapping[str, Any]
    student: str = "shrink"
    tuner: str = "bayesian"
    max_trials: int = 30
    epochs: int = 20
    executions_per_trial: int = 1
    batch_size: int = 64
    learning_rate: float = 2e-3
    max_train: int | None = None
    seed: int = 0
    scale: str | None = None
    teacher_output: str | None = None


@dataclasses.dataclass(frozen=True)
class Found:
    """The results of a search.

    Attributes:
        setting: The settings.
        data: Description of the data set.
        trials: All trials: values, status, reason, accuracy, costs.
        front: IDs of the trials on the Pareto front.
        best: ID of the trial whose student was exported.
        test: The best trial's metrics on the test images: mean, spread over
            the executions, and each execution.
        rows: Measurements of the teacher, the student and the exported file.
        seconds: Duration of this run.
        machine: The machine and versions.
    """

    setting: SearchSetting
    data: dict[str, Any]
    trials: tuple[dict[str, Any], ...]
    front: tuple[str, ...]
    best: str
    test: dict[str, Any]
    rows: tuple[Row, ...]
    seconds: float
    machine: dict[str, str]

    def to_json(self) -> str:
        """Return everything as JSON text."""
        return json.dumps(
            dataclasses.asdict(self), indent=2, ensure_ascii=False
        )


def print_found(found: Found, output: Path) -> None:
    """Print the summary, the Pareto front, the files and their folder."""
    typer.echo("\n".join(sentences(found)) + "\n")
    print_front(found)
    typer.echo("\n" + best_sentence(found) + "\n")
    print_rows(found.rows)
    taken = duration(found.seconds)
    typer.echo(f"\nFiles and results.json: {output}/ ({taken})")


def sentences(found: Found) -> tuple[str, ...]:
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
    }
    limits = [
        text.format(budget[name])
        for name, text in units.items()
        if name in budget
    ]
    kind = budget.get("quantization", "float32")
    return f"{', '.join(limits)}, as a TFLite {kind} file"


def print_front(found: Found) -> None:
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


def best_sentence(found: Found) -> str:
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
