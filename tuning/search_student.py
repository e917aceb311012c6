"""Searches alpha, temperature and width of a student for a device.

    python tuning/search_student.py --budget tuning/budgets/phone.json
    python tuning/search_student.py --fast --microcontroller firmware

Kill it and run it again: it goes on where it was. `tuning/cluster/` runs it
in several processes. The last line it prints is JSON.
"""

import argparse
import json
from pathlib import Path

import keras
import teacher

import keras_kd
from keras_kd.search import cluster

BUDGETS = Path(__file__).with_name("budgets")


def main(arguments: argparse.Namespace) -> None:
    """Search, and save the best student."""
    trials, epochs = (4, 1) if arguments.fast else (40, 20)
    splits = keras_kd.data.load(arguments.dataset)
    large = teacher.trained(
        splits, arguments.output / f"teacher_{arguments.dataset}.keras", epochs
    )
    content = json.loads(arguments.budget.read_text())
    tuner = keras_kd.search.StudentTuner(
        large,
        lambda width: keras_kd.students.shrink(large, width=width),
        budget=keras_kd.Budget.from_dict(content),
        tuner=arguments.tuner,
        max_trials=trials,
        optimizer=keras.optimizers.Adam(2e-3),
        seed=0,
        directory=str(arguments.output),
        project_name=f"{arguments.dataset}_{arguments.budget.stem}",
    )
    tuner.search(
        splits.train,
        validation_data=splits.validation,
        test_data=splits.test,
        epochs=epochs,
        shuffle=False,
        verbose=0 if arguments.fast else 2,
    )
    if cluster.is_worker():
        return  # the chief has the results
    student = tuner.best_student()
    student.save(Path(tuner.project_dir) / "student.keras")
    if arguments.microcontroller is not None:
        keras_kd.export.microcontroller(
            student,
            arguments.microcontroller,
            splits.train,
            splits.test,
            labels=splits.class_names,
        )
    best = tuner.best_candidate()
    for row in tuner.pareto_front():
        limits = {name: getattr(row, name) for name in tuner.budget.limits}
        print(f"{row.objective:.4f}", dict(row.values), limits)
    results = {
        "project": str(tuner.project_dir),
        "statuses": [row.status for row in tuner.results],
        "best": best.trial_id,
        "values": dict(best.values),
        "costs": {name: getattr(best, name) for name in tuner.budget.limits},
        "validation_accuracy": best.objective,
        "test_accuracy": tuner.test_result.mean["accuracy"],
    }
    print(json.dumps(results))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--budget", type=Path, default=BUDGETS / "microcontroller.json"
    )
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--tuner", default="bayesian")
    parser.add_argument("--output", type=Path, default=Path("searches"))
    parser.add_argument(
        "--microcontroller",
        type=Path,
        help="folder to write the best student to, as C++",
    )
    parser.add_argument("--fast", action="store_true", help="few short trials")
    main(parser.parse_args())
