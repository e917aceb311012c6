"""`keras-kd search`: from a teacher's file and a budget to the best file."""

import dataclasses
import json
import os

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import keras_kd
from keras_kd.cli import app
from keras_kd.cli import found
from keras_kd.cli.search import read_budget
from keras_kd.jobs import searching
from keras_kd.jobs.measuring import Row

OPTIONS = ("--dataset", "digits", "--max-train", 128, "--epochs", 1)
OPTIONS += ("--max-trials", 5, "--tuner", "random", "--seed", 3)
# The teacher has 40 units: 64 * 40 + 40 + 40 * 10 + 10 weights of 4 bytes.
BUDGET = ("--budget", "8kB", "--quantization", "float32")


def run(*arguments):
    return CliRunner().invoke(app, ["search", *map(str, arguments)])


@pytest.fixture(scope="module")
def teacher_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "teacher.keras"
    keras_kd.students.mlp((8, 8, 1), 10, hidden=(40,)).save(path)
    return path


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def test_the_budget_of_options():
    assert read_budget(
        None, size_bytes="50kB", latency_ms="2ms"
    ) == keras_kd.Budget(size_bytes=50_000, latency_ms=2.0, quantization="int8")


def test_options_win_over_a_budget_file(tmp_path):
    content = {"for": "a board", "size_bytes": 9, "peak_memory_bytes": "4KiB"}
    content["quantization"] = "float16"
    path = write(tmp_path / "budget.json", content)
    assert read_budget(path, size_bytes="50kB") == keras_kd.Budget(
        size_bytes=50_000, peak_memory_bytes=4096, quantization="float16"
    )
    chosen = read_budget(path, quantization="dynamic_range")
    assert (chosen.size_bytes, chosen.quantization) == (9, "dynamic_range")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"size_bytes": 9', "is not valid JSON"),
        ("[9]", "has to be an object with the limits by name"),
        ('{"size_byte": 9}', "Did you mean 'size_bytes'?"),
        ('{"for": "a board"}', "`search` needs a budget. Give --budget"),
    ],
    ids=["torn", "list", "name", "empty"],
)
def test_a_wrong_budget_file_is_refused(tmp_path, content, message):
    path = tmp_path / "budget.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        read_budget(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            [],
            "Give --budget 50kB, --latency 2ms, --arena 40kB or --budget-file",
        ),
        (["--budget", "50 stones"], "`--budget` to be a number"),
        (["--budget-file", "gone.json"], "No budget at `gone.json`"),
        (
            ["--budget", "9", "--quantization", "int4"],
            "Received: --quant",
        ),
        (["--budget", "9", "--student", "shrnk"], "Did you mean 'shrink'?"),
        (["--budget", "9", "--tuner", "bayesan"], "Did you mean 'bayesian'?"),
        (["--budget", "9", "--dataset", "digit"], "Did you mean 'digits'?"),
        (["--budget", "9", "--teacher", "gone"], "No teacher at `gone`"),
    ],
    ids=lambda value: value[-1] if value and isinstance(value, list) else "",
)
def test_a_wrong_option_is_one_line(teacher_path, tmp_path, options, message):
    result = run(
        *("--teacher", teacher_path, "--dataset", "digits"),
        *("--output", tmp_path, *options),
    )
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.fixture
def made():
    """What a search found, made up."""
    trial = {"status": "feasible", "reason": "", "spread": 0.004}
    trial["size_bytes"] = 12_345
    fronts = [
        {**trial, "trial_id": name, "objective": reached, "values": values}
        for name, reached, values in (
            ("07", 0.9731, {"width": 0.25, "tuner/epochs": 2}),
            ("02", 0.912, {"width": 0.125, "tuner/epochs": 2}),
        )
    ]
    failed = {"trial_id": "03", "status": "failed", "reason": "No memory."}
    budget = {"size_bytes": 20_000, "quantization": "int8"}
    return searching.Found(
        setting=searching.SearchSetting("t.keras", "digits", budget),
        data={"num_train": 1168, "num_validation": 129, "num_test": 500},
        trials=(*fronts, failed),
        front=("02", "07"),
        best="07",
        test={
            "mean": {"accuracy": 0.9512},
            "spread": {"accuracy": 0.011},
            "executions": [{}, {}, {}],
        },
        rows=(Row("teacher", "t.keras", 0.99, 1.0, 9, 0.5, 0.6),),
        seconds=12.3,
        machine={},
    )


def test_what_is_printed(made, capsys, tmp_path):
    found.print_found(made, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert "1,168 training, 129 validation and 500 test images" in lines[0]
    assert lines[1] == "Budget: 20,000 bytes, as a TFLite int8 file."
    assert lines[2].startswith("3 trials: 2 trained, 0 over the budget")
    assert lines[3] == "The first failure: No memory."
    assert lines[6].split() == ["trial", "width", "accuracy", "bytes"]
    assert lines[7].split() == ["02", "0.125", "91.2%", "±", "0.4", "12,345"]
    assert lines[8].split()[-2:] == ["12,345", "best"]
    assert "Best: trial 07, test accuracy 95.1% ± 1.1" in "\n".join(lines)
    assert lines[-1].endswith("(12 s)")


def test_a_search_is_not_gone_on_with_under_other_options(made, tmp_path):
    from keras_kd.jobs.searching import _check_begun

    content = dataclasses.asdict(made.setting)
    write(tmp_path / "setting.json", content)
    changed = dataclasses.replace(made.setting, epochs=5, max_trials=99)
    _check_begun(changed, tmp_path)  # nothing was tried yet
    (tmp_path / "trials" / "trial_0").mkdir(parents=True)
    message = "other options: epochs: was 20, is 5. Use the former"
    with pytest.raises(ValueError, match=message):
        _check_begun(changed, tmp_path)
    _check_begun(dataclasses.replace(made.setting, max_trials=99), tmp_path)


@pytest.fixture(scope="module")
def interrupted(teacher_path, tmp_path_factory):
    """A search stopped in its third trial, and run again."""
    from keras_kd.jobs.searching import StudentTuner

    output = tmp_path_factory.mktemp("search")
    arguments = ("--teacher", teacher_path, *OPTIONS, *BUDGET, "--json")
    arguments += ("--output", output)
    real = StudentTuner.run_trial

    def stop(tuner, trial, *args, **kwargs):
        if len(tuner.oracle.trials) == 3:
            raise KeyboardInterrupt
        return real(tuner, trial, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StudentTuner, "run_trial", stop)
        stopped = run(*arguments)
    assert stopped.exit_code != 0
    assert not (output / "results.json").exists()
    before = {
        path: path.stat().st_mtime_ns
        for path in (output / "trials").glob("*/checkpoint.weights.h5")
    }
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return output, json.loads(result.stdout), before


@pytest.mark.untraced
@pytest.mark.export
def test_it_goes_on_and_leaves_the_best_file(interrupted):
    output, results, before = interrupted
    assert sorted(os.listdir(output)) == [
        "logs",
        "report.html",
        "report.json",
        "results.json",
        "run.toml",
        "setting.json",
        "student.keras",
        "student_float32.tflite",
        "student_float32.tflite.json",
        "student_float32.tflite.md",
        "teacher_cache",
        "trials",
    ]
    assert len(results["trials"]) == 5
    page = (output / "report.html").read_text()
    assert "The search made 5 trials" in page
    assert ">Disagreements</h2>" in page
    assert before, "something was trained before it was stopped"
    assert all(path.stat().st_mtime_ns == at for path, at in before.items())
    assert json.loads((output / "results.json").read_text()) == results


@pytest.mark.untraced
@pytest.mark.export
def test_the_file_keeps_the_budget(interrupted):
    output, results, _ = interrupted
    by_id = {trial["trial_id"]: trial for trial in results["trials"]}
    statuses = {trial["status"] for trial in results["trials"]}
    assert statuses == {"feasible", "infeasible"}
    # 75 weights a unit and 10: above 26 units the weights alone are more.
    for trial in results["trials"]:
        if 4 * (75 * round(40 * trial["values"]["width"]) + 10) > 8000:
            assert trial["status"] == "infeasible"
            assert "above the budget's 8,000" in trial["reason"]
    size = (output / "student_float32.tflite").stat().st_size
    assert size == by_id[results["best"]]["size_bytes"] <= 8000
    reached = [t["objective"] for t in by_id.values() if t["objective"]]
    assert by_id[results["best"]]["objective"] == max(reached)


@pytest.mark.untraced
@pytest.mark.export
def test_the_best_is_told_on_test_images(interrupted):
    output, results, _ = interrupted
    student = keras.models.load_model(output / "student.keras")
    _, (x, y) = keras_kd.data.digits()
    accuracy = np.mean(student.predict(x, verbose=0).argmax(-1) == y)
    assert results["test"]["mean"]["accuracy"] == pytest.approx(accuracy)
    rows = {row["model"]: row["accuracy"] for row in results["rows"]}
    assert list(rows) == ["teacher", "student", "TFLite float32"]
    assert rows["student"] == pytest.approx(accuracy)
