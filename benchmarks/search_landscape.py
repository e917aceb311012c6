"""Regret of the Bayesian search on landscapes that are known in full.

The full grids of `landscape_grid.py`, 288 cells of alpha, temperature and
width with three seeds a cell: the mean of a cell is the truth. A search that
looks cells up, under a budget of bytes, is compared with the best cell that
fits. `BayesianOracle` was written with the first landscape at hand, and
never changed for the second. Writes
`benchmarks/results/search_landscape.json`.

    python benchmarks/search_landscape.py [--seeds 10] [--grids PATH]
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

import keras
import keras_tuner
import numpy as np
import record
from landscape_grid import AXES
from landscape_grid import SETTINGS
from landscape_grid import WIDTHS
from landscape_grid import make_student
from landscape_grid import train_grid

import keras_kd

GATE = 0.5  # points below the best cell that fits
BUDGET_WIDTH = 0.625  # three of eight widths are over the budget
# KerasTuner draws from one sequence: seed 3 would propose what seed 0 does,
# one trial later.
SEED_STEP = 1000
# Name -> oracle, executions a trial; the first is held to the gate.
SEARCHES = {
    "bayesian, three trainings a trial": ("bayesian", 3),
    "bayesian, one training a trial": ("bayesian", 1),
    "random, three trainings a trial": ("random", 3),
}


class Landscape:
    """The trained grid, and what a search would find at each point."""

    def __init__(self, grid: Mapping[str, Any]) -> None:
        self.accuracy = np.array(grid["accuracy"])
        self.truth = self.accuracy.mean(-1)
        self.sizes = dict(zip(WIDTHS, grid["size_bytes"], strict=True))
        self.budget = keras_kd.Budget(
            size_bytes=self.sizes[BUDGET_WIDTH], quantization="int8"
        )
        fits = [size <= self.budget.size_bytes for size in self.sizes.values()]
        self.feasible = self.truth[np.array(fits)]

    def cell(self, values: Mapping[str, float]) -> tuple[int, ...]:
        """Return the index of a trial's values.

        Raises:
            KeyError: If they are not on the grid.
        """
        found = []
        for name, axis in AXES.items():
            near = np.isclose(axis, values[name])
            if not near.any():
                raise KeyError(f"{name}={values[name]} is not on the grid")
            found.append(int(near.argmax()))
        return tuple(found)

    def regret(self, values: Mapping[str, float]) -> float:
        """Return how far a cell's truth is below the best that fits."""
        return float(self.feasible.max() - self.truth[self.cell(values)])


class LookUp(keras_kd.search.StudentTuner):
    """Looks a trial up in the landscape instead of training it.

    With `executions_per_trial=3` a trial is what its cell is, the mean of
    its seeds; with 1 it is one of them, drawn by cell and search.
    """

    landscape: Landscape

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        """Return what the grid found."""
        values = trial.hyperparameters.values
        costs = {"size_bytes": self.landscape.sizes[values["width"]]}
        violation = self.budget.violation(costs)
        if violation:
            return {"val_accuracy": 0.0, "violation": violation, **costs}
        cell = self.landscape.cell(values)
        found = self.landscape.accuracy[cell]
        if self.executions_per_trial == 1:
            rng = np.random.default_rng([self.oracle.seed, *cell])
            found = rng.permutation(found)[:1]
        return [{"val_accuracy": value, **costs} for value in found]


def on_grid() -> keras_tuner.HyperParameters:
    """Declare the default space in the steps of the grid."""
    hp = keras_tuner.HyperParameters()
    hp.Float("width", 0.125, 1.0, step=0.125, default=0.25)
    hp.Float("alpha", 0.1, 1.0, step=0.18, default=0.82)
    hp.Float("temperature", 1.0, 32.0, step=2, sampling="log", default=4.0)
    return hp


def search(
    landscape: Landscape, seed: int, oracle: str, executions: int
) -> dict[str, Any]:
    """Search with a fifth of the cells' evaluations; return what came out."""
    x, y = np.zeros((8, 8, 8, 1), "float32"), np.arange(8)
    with tempfile.TemporaryDirectory() as folder:
        tuner = LookUp(
            make_student(1.0),
            make_student,
            budget=landscape.budget,
            tuner=oracle,
            max_trials=landscape.truth.size // 5,
            hyperparameters=on_grid(),
            executions_per_trial=executions,
            seed=seed * SEED_STEP,
            directory=folder,
        )
        tuner.landscape = landscape
        tuner.search(x, y, validation_data=(x, y), verbose=0)
        best = tuner.best_candidate()
        statuses = [candidate.status for candidate in tuner.results]
        cells = {landscape.cell(found.values) for found in tuner.results}
    keras.backend.clear_session()
    return {
        "values": {name: round(best.values[name], 4) for name in AXES},
        "regret": round(landscape.regret(best.values), 3),
        "size_bytes": best.size_bytes,
        "trials": len(statuses),
        "distinct": len(cells),
        "infeasible": statuses.count("infeasible"),
    }


def search_all(landscape: Landscape, seeds: int) -> dict[str, Any]:
    """Run every kind of search with every seed; print and return."""
    tables = {}
    for name, (oracle, executions) in SEARCHES.items():
        rows = [
            search(landscape, seed, oracle, executions) for seed in range(seeds)
        ]
        regrets = [row["regret"] for row in rows]
        over = sum(
            row["size_bytes"] > landscape.budget.size_bytes for row in rows
        )
        within = sum(regret <= GATE for regret in regrets)
        print(
            f"{name:34} within {GATE} points in {within} of {seeds} seeds, "
            f"mean regret {mean(regrets):.2f}, worst {max(regrets):.2f}, "
            f"over budget {over}",
            flush=True,
        )
        tables[name] = {
            "within_gate": within,
            "mean_regret": round(mean(regrets), 3),
            "worst_regret": max(regrets),
            "over_budget": over,
            "seeds": rows,
        }
    return tables


def describe(landscape: Landscape) -> dict[str, Any]:
    """Return how high a landscape is, and how hard."""
    spread = np.median(landscape.accuracy.std(-1, ddof=1))
    near = landscape.feasible >= landscape.feasible.max() - GATE
    return {
        "budget_size_bytes": landscape.budget.size_bytes,
        "best_feasible": round(float(landscape.feasible.max()), 2),
        "median_feasible": round(float(np.median(landscape.feasible)), 2),
        "best_of_all": round(float(landscape.truth.max()), 2),
        "median_stdev_of_one_training": round(float(spread), 2),
        "cells": landscape.truth.size,
        "cells_within_gate": int(near.sum()),
        "gate": GATE,
    }


def main() -> None:
    """Train or read the grids, search, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--grids", type=Path, help="results to take them from")
    options = parser.parse_args()
    known = {}
    if options.grids:
        known = json.loads(options.grids.read_text("utf-8"))["landscapes"]
    found = {}
    for name in SETTINGS:
        grid = known[name]["grid"] if name in known else train_grid(name)
        landscape = Landscape(grid)
        summary = describe(landscape)
        print(f"{name}: {summary}", flush=True)
        searches = search_all(landscape, options.seeds)
        found[name] = {**summary, "searches": searches, "grid": grid}
    path = record.write(
        "search_landscape",
        {
            "what": "regret in points of the cell that a search returns: "
            "mean of its three seeds, below the best cell within the budget; "
            "a fifth as many trials as cells, those over the budget too",
            "landscapes": found,
        },
    )
    print(f"written: {path.name}")


if __name__ == "__main__":
    main()
