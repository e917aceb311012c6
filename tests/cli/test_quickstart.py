"""`keras-kd quickstart` from its options to its files."""

import functools
import json
import os
import re
import shutil

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import keras_kd
from keras_kd.cli import app
from keras_kd.cli import quickstart as module
from keras_kd.core.files import size_bytes
from keras_kd.jobs import starting as job
from keras_kd.jobs.measuring import Row


def run(*arguments):
    return CliRunner().invoke(app, ["quickstart", *map(str, arguments)])


@pytest.mark.parametrize(
    ("text", "labels"), [("all", None), ("100", 100)], ids=["all", "count"]
)
def test_labels_are_a_count_or_all(text, labels):
    assert module.parse_labels(text) == labels


@pytest.mark.parametrize("text", ["0", "-1", "some", "1.5"])
def test_other_labels_are_an_error(text):
    result = run("--labels", text)
    assert result.exit_code == 1
    assert result.stderr == (
        "error: `quickstart` needs `--labels` to be a count or 'all'. "
        f"Received: --labels {text!r}.\n"
    )


def test_an_unknown_data_set_is_an_error(tmp_path):
    result = run("--dataset", "digit", "--output", tmp_path)
    assert result.exit_code == 1
    assert "Did you mean 'digits'?" in result.stderr


def test_options_replace_the_preset(monkeypatch, tmp_path):
    asked = []

    def note(setting, *_):
        asked.append(setting)
        raise OSError("stop here")

    monkeypatch.setattr(module, "run_quickstart", note)
    run("--labels", "all", "--epochs", "3", "--seed", "7", "--width", "0.5")
    run("--dataset", "fashion_mnist")
    first, second = asked
    assert (first.labels, first.epochs) == (None, 3)
    assert (first.seed, first.width) == (7, 0.5)
    assert (first.dataset, second.dataset) == ("digits", "fashion_mnist")
    assert second.max_train == 10_000


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """The whole job with 4 steps of a small teacher, and its JSON."""
    output = tmp_path_factory.mktemp("quickstart")
    options = ["--epochs", 2, "--max-train", 128, "--labels", 40]
    small = functools.partial(
        keras_kd.students.convnet, filters=(32, 64), convs_per_stage=1
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras_kd.students, "convnet", small)
        result = run(*options, "--output", output, "--json")
    assert result.exit_code == 0, result.stderr
    return output, result


@pytest.mark.untraced
@pytest.mark.export
def test_it_leaves_every_file(small_run):
    output, result = small_run
    assert sorted(os.listdir(output)) == [
        "report.html",
        "report.json",
        "results.json",
        "run.toml",
        "saved_model",
        "student.keras",
        "student_alone.keras",
        "student_dynamic_range.tflite",
        "student_dynamic_range.tflite.json",
        "student_dynamic_range.tflite.md",
        "student_float16.tflite",
        "student_float16.tflite.json",
        "student_float16.tflite.md",
        "student_float32.tflite",
        "student_float32.tflite.json",
        "student_float32.tflite.md",
        "student_int8.tflite",
        "student_int8.tflite.json",
        "student_int8.tflite.md",
        "teacher.keras",
    ]
    written = json.loads((output / "results.json").read_text())
    assert written == json.loads(result.stdout)


@pytest.mark.slow
@pytest.mark.untraced
@pytest.mark.export
def test_the_report_says_what_to_ship_and_can_be_made_again(small_run):
    output, _ = small_run
    written = (output / "report.html").read_text()
    assert re.search(r"Ship TFLite \w+ \(student_\w+\.tflite\)\.", written)
    for title in ("Training", "Disagreements", "Rounding", "How it was made"):
        assert f">{title}</h2>" in written
    (output / "report.html").unlink()
    again = CliRunner().invoke(app, ["report", str(output)])
    assert again.stdout == f"Report: {output / 'report.html'}\n"
    assert (output / "report.html").read_text() == written


@pytest.mark.export
def test_a_report_without_data_shows_what_was_measured(small_run, tmp_path):
    output, _ = small_run
    shutil.copy(output / "results.json", tmp_path)
    missing = CliRunner().invoke(app, ["report", str(tmp_path / "none")])
    assert missing.exit_code == 1
    assert "No `results.json` in" in missing.stderr
    options = ["report", str(tmp_path), "--without-data"]
    assert CliRunner().invoke(app, options).exit_code == 0
    page = (tmp_path / "report.html").read_text()
    assert ">Training</h2>" in page
    assert ">Disagreements</h2>" not in page


@pytest.mark.untraced
@pytest.mark.export
def test_a_pipe_gets_plain_lines(small_run):
    lines = small_run[1].stderr.splitlines()
    # On a busy machine others come before: how far a stage of 10 s is.
    ends = [line for line in lines if "done in " in line]
    assert ends[0].startswith("teacher: done in ")
    assert not any("\x1b" in line for line in lines)


@pytest.mark.untraced
@pytest.mark.export
def test_its_numbers_are_those_of_the_files(small_run):
    _, result = small_run
    outcome = json.loads(result.stdout)
    assert outcome["steps"] == 4
    rows = {row["model"]: row for row in outcome["rows"]}
    _, (x, y) = keras_kd.data.digits()
    predicted = {
        name: keras.models.load_model(rows[name]["path"])
        .predict(x, verbose=0)
        .argmax(-1)
        for name in ("teacher", "student alone", "student distilled")
    }
    for name, classes in predicted.items():
        row = rows[name]
        agreement = np.mean(classes == predicted["teacher"])
        assert row["accuracy"] == pytest.approx(np.mean(classes == y))
        assert row["agreement"] == pytest.approx(agreement)
    for row in rows.values():
        assert row["size_bytes"] == size_bytes(row["path"])
        assert 0 < row["latency_ms_p50"] <= row["latency_ms_p95"]
    params = outcome["num_params"]
    assert params["student distilled"] <= params["teacher"] / 4


@pytest.mark.untraced
@pytest.mark.export
def test_the_largest_differences_grow_as_files_shrink(small_run):
    rows = {
        row["model"]: row for row in json.loads(small_run[1].stdout)["rows"]
    }
    kinds = ["float32", "float16", "dynamic_range"]
    found = [rows[f"TFLite {kind}"]["largest_difference"] for kind in kinds]
    assert found == sorted(found)
    assert found[0] < 1e-5 < found[1]
    sizes = [rows[f"TFLite {kind}"]["size_bytes"] for kind in kinds]
    assert sizes == sorted(sizes, reverse=True)
    assert rows["teacher"]["largest_difference"] is None


def test_the_table_has_a_line_for_each_row(capsys, tmp_path):
    row = Row("TFLite int8", "a", 0.5, 0.25, 1234, 0.1, 0.2, 0.3)
    outcome = module.Outcome(
        module.PRESETS["digits"],
        ("What was done.",),
        {},
        {},
        1,
        (row,),
        9.0,
        {},
    )
    module.print_outcome(outcome, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "What was done."
    cells = "TFLite int8 50.0% 25.0% 1,234 0.1 0.2 0.3"
    assert lines[4].split() == cells.split()
    assert lines[-1] == f"Files and results.json: {tmp_path}/ (9.0 s)"


def test_the_table_fits_80_columns(capsys):
    from keras_kd.cli.printing import print_rows

    names = [
        "teacher",
        "student distilled",
        *(f"TFLite {kind}" for kind in job.QUANTIZATIONS),
    ]
    numbers = (1.0, 1.0, 99_999_999, 0.0065724, 12.3456, 0.0000123)
    print_rows(tuple(Row(name, "path", *numbers) for name in names))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) < 80


@pytest.mark.slow
@pytest.mark.export
def test_the_default_run_keeps_what_it_claims(tmp_path):
    result = run("--output", tmp_path, "--json")
    assert result.exit_code == 0, result.stderr
    outcome = json.loads(result.stdout)
    rows = {row["model"]: row for row in outcome["rows"]}
    teacher, alone, student = (
        rows[name]["accuracy"]
        for name in ("teacher", "student alone", "student distilled")
    )
    params = outcome["num_params"]
    assert params["student distilled"] <= 0.25 * params["teacher"]
    assert student >= alone + 0.04
    assert student >= teacher - 0.03
    full, small = rows["TFLite float32"], rows["TFLite int8"]
    assert full["size_bytes"] >= 50_000
    assert small["size_bytes"] <= 0.35 * full["size_bytes"]
    assert abs(small["accuracy"] - student) <= 0.01
