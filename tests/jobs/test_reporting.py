"""The page of a run, from its folder."""

import json

import pytest

from keras_kd import jobs
from keras_kd.jobs import reporting


def write(folder, **changes):
    row = {
        "model": "teacher",
        "path": "teacher.keras",
        "evaluation": {"name": "teacher.keras", "num_examples": 9},
        "verification": None,
    }
    results = {"rows": [row], "setting": {}, **changes}
    (folder / "results.json").write_text(json.dumps(results))


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="No `results.json` in"):
        jobs.report(tmp_path)


def test_results_of_an_earlier_version_are_refused(tmp_path):
    write(tmp_path, rows=[{"model": "teacher", "path": "teacher.keras"}])
    with pytest.raises(ValueError, match="no whole evaluations. Run the"):
        jobs.report(tmp_path)


def test_what_prevents_a_page_is_said_and_ends_no_run(tmp_path, capsys):
    assert reporting.report_on_run(tmp_path) is None
    said = capsys.readouterr().err
    assert said.startswith("warning: report.html was not written: No `results")
    assert said.endswith(f"Then make it with `keras-kd report {tmp_path}`.\n")


@pytest.mark.parametrize(
    ("accuracies", "chosen"),
    [((0.9, 0.895, 0.891), "tiny"), ((0.9, 0.895, 0.8), "small")],
)
def test_the_smallest_of_the_good_files_is_shipped(accuracies, chosen):
    import keras_kd

    rows = zip(("large", "small", "tiny"), accuracies, (9, 5, 2), strict=True)
    evaluations = {
        name: keras_kd.Evaluation(name, 9, accuracy, size_bytes=size)
        for name, accuracy, size in rows
    }
    found = reporting._smallest_good(evaluations, evaluations)
    assert found == chosen


def test_files_of_a_folder_that_was_moved_are_found(tmp_path):
    (tmp_path / "a.tflite").touch()
    moved = reporting._found(tmp_path, {"path": "elsewhere/a.tflite"})
    assert moved == tmp_path / "a.tflite"
    kept = reporting._found(tmp_path, {"path": "elsewhere/b.tflite"})
    assert str(kept) == "elsewhere/b.tflite"


def test_models_that_are_gone_are_named(tmp_path):
    row = {
        "path": str(tmp_path / "gone"),
        "evaluation": {
            "name": "a",
            "num_examples": 9,
            "accuracy": 0.5,
            "size_bytes": 9,
        },
    }
    rows = [
        {**row, "model": "teacher", "verification": None},
        {**row, "model": "file", "verification": VERIFICATION},
    ]
    write(tmp_path, rows=rows)
    with pytest.raises(FileNotFoundError, match="gone.*set `without_data`"):
        jobs.report(tmp_path)


def test_data_that_was_given_in_python_is_asked_for(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
    files = list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="Received: data=None. Give the same"):
        reporting._load({"dataset": None}, files, None)


VERIFICATION = {
    "path": "a",
    "kind": "int8",
    "num_examples": 9,
    "max_abs_difference": 0.1,
    "mean_abs_difference": 0.1,
    "output_range": 1.0,
    "tolerance": 0.1,
    "agreement": 1.0,
    "size_bytes": 9,
    "input_dtype": "int8",
    "output_dtype": "int8",
    "passed": True,
}
