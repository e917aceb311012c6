"""Compares the distillation losses on one student, each at its best alpha.

    python tuning/search_losses.py --dataset mnist
    python tuning/search_losses.py --fast

Every combination is tried (`tuner="grid"`), and trained more than once: a
difference below the spread is none. The last line it prints is JSON.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import teacher

import keras_kd

LOSSES = ("SoftTargets", "LogitsMSE", "HardLabels")


def choose(hp: keras_tuner.HyperParameters, temperatures: list[float]) -> Any:
    """Return the loss of a trial; only soft targets have a temperature."""
    name = hp.Choice("loss", LOSSES)
    with hp.conditional_scope("loss", ["SoftTargets"]):
        if name == "SoftTargets":
            temperature = hp.Choice("temperature", temperatures)
            return keras_kd.losses.SoftTargets(temperature=temperature)
    return getattr(keras_kd.losses, name)()


def main(arguments: argparse.Namespace) -> None:
    """Try every combination, and print the best of each loss."""
    epochs, executions = (1, 1) if arguments.fast else (20, 3)
    alphas = [0.9] if arguments.fast else [0.5, 0.9, 1.0]
    temperatures = [4.0] if arguments.fast else [1.0, 2.0, 4.0, 8.0]
    splits = keras_kd.data.load(arguments.dataset)
    large = teacher.trained(
        splits, arguments.output / f"teacher_{arguments.dataset}.keras", epochs
    )
    given = keras_tuner.HyperParameters()
    given.Fixed("width", arguments.width)
    given.Choice("alpha", alphas)
    tuner = keras_kd.search.StudentTuner(
        large,
        lambda width: keras_kd.students.shrink(large, width=width),
        tuner="grid",
        max_trials=None,  # all of the grid
        losses=lambda hp: choose(hp, temperatures),
        hyperparameters=given,
        optimizer=keras.optimizers.Adam(2e-3),
        executions_per_trial=executions,
        seed=0,
        directory=str(arguments.output),
        project_name=f"losses_{arguments.dataset}",
    )
    tuner.search(
        splits.train,
        validation_data=splits.validation,
        test_data=splits.test,
        epochs=epochs,
        shuffle=False,
        verbose=0 if arguments.fast else 2,
    )
    best = {}
    for row in sorted(tuner.results, key=lambda row: row.objective or 0.0):
        best[row.values["loss"]] = row
    for name in LOSSES:
        row = best[name]
        spread = "" if row.spread is None else f" ± {row.spread:.4f}"
        print(f"{name}: {row.objective:.4f}{spread}", dict(row.values))
    results = {
        "trials": len(tuner.results),
        "validation_accuracy": {n: best[n].objective for n in LOSSES},
        "test_accuracy": tuner.test_result.mean["accuracy"],
    }
    print(json.dumps(results))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--width", type=float, default=0.125)
    parser.add_argument("--output", type=Path, default=Path("searches"))
    parser.add_argument("--fast", action="store_true", help="few short trials")
    main(parser.parse_args())
